export { createLogger, type Logger, type LogLevel, silentLogger } from "./logger.ts";
export {
  type Counter,
  createMetrics,
  type Gauge,
  type Histogram,
  type Metrics,
  noMetrics,
} from "./metrics.ts";

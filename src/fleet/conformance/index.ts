export {
  ASSERTIONS,
  type ConformanceOptions,
  type ConformanceResult,
  checkAssertion,
} from "./run-conformance.ts";

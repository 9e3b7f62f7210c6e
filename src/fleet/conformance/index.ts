export {
  ASSERTIONS,
  type ConformanceResult,
  checkAssertion,
} from "./run-conformance.ts";

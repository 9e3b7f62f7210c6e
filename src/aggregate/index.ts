export { Aggregator } from "./aggregator.ts";
export { DEFAULT_RETENTION } from "./buckets.ts";
export { ModelKeeper } from "./model-keeper.ts";
export { decodeRegister, type Register } from "./register.ts";
export { Releaser } from "./releaser.ts";
export { verifyShards } from "./verify.ts";

export { type RedisAddress, readRedisAddress } from "./address.ts";
export { type ClientSettings, openClient, REDIS_URL_FORMS } from "./client.ts";
export { connectMasters } from "./cluster.ts";
export { gather } from "./gather.ts";
export { NotReplicatedError, type Replicas, replicasOf } from "./replicas.ts";

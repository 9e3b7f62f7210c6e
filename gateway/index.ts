export type { AuthOptions } from "./auth.ts";
export type { JwtAuthOptions, JwtKeySource } from "./auth-jwt.ts";
export { devicePassword, type PasswordAuthOptions } from "./auth-password.ts";
export { DEFAULT_DOWNLINK_LIMITS, type DownlinkLimits } from "./downlink.ts";
export type { ForeignBrokerOptions } from "./foreign/address.ts";
export {
  ForeignGateway,
  type ForeignGatewayAddresses,
  type ForeignGatewayOptions,
} from "./foreign/gateway.ts";
export {
  DEFAULT_DRAIN_TIMINGS,
  type DrainTimings,
  Gateway,
  type GatewayAddresses,
  type GatewayOptions,
} from "./gateway.ts";
export { createHttpService, type HttpOptions, type HttpService } from "./http.ts";
export {
  DEFAULT_GATEWAY_LIMITS,
  type GatewayLimits,
  gatewayLimits,
  type TokenBucketLimit,
} from "./limits.ts";
export type { ListenersOptions, ListenOptions } from "./listeners.ts";
export type {
  BoundAddress,
  DeviceView,
  DownlinkSource,
  ReleaseListener,
  SessionWatch,
} from "./ports.ts";
export { isTokenId, readRevokedList } from "./revoked-list.ts";
export type { TlsFiles } from "./tls-files.ts";

/**
 * Names: tenants, devices, patterns.
 *
 * One alphabet for all of them, so that an id can stand in a topic, a Redis
 * key, a file name and a log line without escaping.
 * @module
 */
import { InvalidConfigError, ProtocolError } from "./errors.ts";

/** 1–64 characters of `A–Z a–z 0–9 _ -`. */
export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

export function isId(value: unknown): value is string {
  return typeof value === "string" && ID_PATTERN.test(value);
}

/** A device within its tenant: the unit of sharding, ordering and access. */
export interface DeviceKey {
  readonly tenant: string;
  readonly device: string;
}

/** `tenant/device`; unambiguous because ids hold no slash. Used as map key and internal client id. */
export function deviceName(key: DeviceKey): string {
  return `${key.tenant}/${key.device}`;
}

/** Inverse of {@link deviceName}. Throws `ProtocolError("device.name")` on anything else. */
export function parseDeviceName(name: string): DeviceKey {
  const [tenant, device, ...rest] = name.split("/");
  if (!isId(tenant) || !isId(device) || rest.length > 0) {
    throw new ProtocolError(
      "device.name",
      `expected tenant/device with ids of ${ID_PATTERN.source}`,
      {
        detail: { name },
      },
    );
  }
  return { tenant, device };
}

/** Throws `InvalidConfigError` naming `what` when `value` is not an id. */
export function requireId(what: string, value: string): string {
  if (isId(value)) return value;
  throw new InvalidConfigError([
    `${what} must match ${ID_PATTERN.source}: got ${JSON.stringify(value)}`,
  ]);
}

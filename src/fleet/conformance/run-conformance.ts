/**
 * Runs every assertion against a server, one after another.
 * @module
 */
import { type DeviceKey, messageOf } from "../../core/index.ts";
import { loadZstd } from "../../wire/index.ts";
import type { Login } from "../load/packets.ts";
import { Opener, type Target } from "../load/wire.ts";
import { type Assertion, World } from "./assertion.ts";
import { CONNECTING } from "./connecting.ts";
import { PACKET_RULES } from "./packet-rules.ts";
import { SUBSCRIBING } from "./subscribing.ts";
import { UPLINK } from "./uplink.ts";

/** The device protocol as numbered assertions; docs/conformance.md lists the same. */
export const ASSERTIONS: readonly Assertion[] = [
  ...CONNECTING,
  ...PACKET_RULES,
  ...UPLINK,
  ...SUBSCRIBING,
];

export interface ConformanceOptions {
  readonly target: Target;
  readonly tenant: string;
  /** Devices are called `PREFIX-C1`, `PREFIX-C1-other` and so on; use one that no earlier run had. */
  readonly prefix: string;
  /** The credentials of a device. */
  readonly loginOf: (key: DeviceKey) => Promise<Login>;
}

export interface ConformanceResult {
  readonly id: string;
  readonly must: string;
  readonly source: string;
  /** null: it holds. */
  readonly fault: string | null;
}

/** Checks one assertion. Never rejects: what goes wrong is the fault. */
export async function checkAssertion(
  { id, must, source, check }: Assertion,
  { target, tenant, prefix, loginOf }: ConformanceOptions,
): Promise<ConformanceResult> {
  const world = new World({
    ...{ opener: new Opener(target), loginOf, zstd: await loadZstd() },
    key: { tenant, device: `${prefix}-${id}` },
    other: { tenant, device: `${prefix}-${id}-other` },
  });
  try {
    await check(world);
    return { id, must, source, fault: null };
  } catch (error) {
    return { id, must, source, fault: messageOf(error) };
  } finally {
    world.end();
  }
}

/**
 * The limits of a gateway as the room wants them, from the settings as people write them: each rate
 * a number of its own, 0 for none.
 * @module
 */
import type { GatewayLimits, TokenBucketLimit } from "../../../gateway/index.ts";
import type { Config } from "../config.ts";

type Settings = Pick<Config["gateway"], "limits" | "batch">;

export function gatewayLimitsOf({ limits, batch }: Settings): Partial<GatewayLimits> {
  const { connectsPerS, connectsBurst, connectsPerDeviceMin, ...others } = limits;
  const { connectionsPerAddressS, connectionsPerAddressBurst, ...rest1 } = others;
  const { failedLoginsPerAddressS, failedLoginsPerAddressBurst, ...rest2 } = rest1;
  const { deltasPerDeviceS, deltasPerDeviceBurst, ...rest } = rest2;
  return {
    ...rest,
    connects: { ratePerS: connectsPerS, burst: connectsBurst },
    connectionsPerAddress: bucketOf(connectionsPerAddressS, connectionsPerAddressBurst),
    failedLoginsPerAddress: bucketOf(failedLoginsPerAddressS, failedLoginsPerAddressBurst),
    connectsPerDevice: bucketOf(connectsPerDeviceMin / 60, connectsPerDeviceMin),
    deltasPerDevice: bucketOf(deltasPerDeviceS, deltasPerDeviceBurst),
    batchCountMax: batch.countMax,
    batchBytesMax: batch.bytesMax,
    batchLingerMs: batch.lingerMs,
  };
}

function bucketOf(ratePerS: number, burst: number): TokenBucketLimit | null {
  return ratePerS === 0 ? null : { ratePerS, burst };
}

/**
 * Whether a release and its ladder belong together, decided before any backend sees them.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import type { StoredRelease } from "./port.ts";

/** Throws `SerializationError("release.mismatch")` unless tenant, versions and limits agree. */
export function requireStoredRelease(tenant: string, stored: StoredRelease): void {
  const { release, ladder } = stored;
  const isNatural = Number.isSafeInteger(release.version) && release.version >= 1;
  if (isNatural && ladder.tenant === tenant && ladder.version === release.version) return;
  throw new SerializationError(
    "release.mismatch",
    "a ladder must be of the same tenant and version (≥ 1) as its release",
    {
      detail: {
        tenant,
        version: release.version,
        ladder: { tenant: ladder.tenant, version: ladder.version },
      },
    },
  );
}

/**
 * Whether a release and its ladder belong together, decided before any backend sees them.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import type { StoredRelease } from "./port.ts";

/** Throws `SerializationError("release.mismatch")` unless tenant, versions and limits agree. */
export function requireStoredRelease(tenant: string, stored: StoredRelease): void {
  const { release, ladder, rendition1 } = stored;
  const { version } = release;
  const isOf = (other: { readonly tenant: string; readonly version: number }) =>
    other.tenant === tenant && other.version === version;
  const agrees =
    rendition1 === null || (rendition1.release.version === version && isOf(rendition1.ladder));
  if (Number.isSafeInteger(version) && version >= 1 && isOf(ladder) && agrees) return;
  throw new SerializationError(
    "release.mismatch",
    "ladders and renditions must be of the same tenant and version (≥ 1) as the release",
    {
      detail: {
        tenant,
        version,
        ladder: { tenant: ladder.tenant, version: ladder.version },
        rendition1: rendition1 && {
          tenant: rendition1.ladder.tenant,
          versions: [rendition1.release.version, rendition1.ladder.version],
        },
      },
    },
  );
}

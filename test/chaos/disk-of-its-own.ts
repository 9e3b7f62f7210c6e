/**
 * A small disk that can be filled: a tmpfs, which only root may mount.
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

/** Left at the next attempt after one that found less room than there was a moment before. */
const SPARE_BYTES = 128 * 1_024;

const mounted = new Set<string>();
process.once("exit", () => {
  for (const path of mounted) unmount(path);
});

export class Disk {
  readonly path: string;
  /** False: it is a folder like any other, and is never full. */
  readonly canBeFull: boolean;

  constructor(path: string, sizeMiB: number) {
    mkdirSync(path, { recursive: true });
    this.path = path;
    this.canBeFull = mount(path, sizeMiB);
  }

  /** Takes what room there is, or nearly so: who writes to it at the same moment takes some too. */
  fill(): void {
    const filler = join(this.path, "filler");
    for (let spare = 0; ; spare += SPARE_BYTES) {
      const { bavail, bsize } = statfsSync(this.path);
      const bytes = bavail * bsize - spare;
      if (bytes <= 0) return;
      if (spawnSync("fallocate", ["-l", `${bytes}`, filler]).status === 0) return;
    }
  }

  free(): void {
    rmSync(join(this.path, "filler"), { force: true });
  }

  remove(): void {
    if (mounted.delete(this.path)) unmount(this.path);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** `disk` by `name` among those that faults may fill, where it can be. */
export function fillable(name: string, disk: Disk): ReadonlyMap<string, Disk> {
  return new Map(disk.canBeFull ? [[name, disk]] : []);
}

function mount(path: string, sizeMiB: number): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", path], {
      stdio: "ignore",
    });
  } catch {
    return false;
  }
  mounted.add(path);
  return true;
}

function unmount(path: string): void {
  try {
    execFileSync("umount", ["-l", path], { stdio: "ignore" });
  } catch {
    // Nothing more can be done for it, and the system drops it with its last user.
  }
}

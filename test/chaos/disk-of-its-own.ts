/**
 * A small disk that can be filled: a tmpfs, which only root may mount.
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

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

  /** Takes what room there is. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.path);
    const bytes = bavail * bsize;
    if (bytes > 0) execFileSync("fallocate", ["-l", `${bytes}`, join(this.path, "filler")]);
  }

  free(): void {
    rmSync(join(this.path, "filler"), { force: true });
  }

  remove(): void {
    if (mounted.delete(this.path)) unmount(this.path);
    rmSync(this.path, { recursive: true, force: true });
  }
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

import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/core/index.ts";
import { type DirectoryLock, lockDirectory } from "../../src/store/embedded/directory-lock.ts";
import { type TempDir, tempDir } from "../support/disk.ts";

const held: DirectoryLock[] = [];
const dirs: TempDir[] = [];

function directory(): string {
  const dir = tempDir("omega-lock-");
  dirs.push(dir);
  return dir.path;
}

async function take(dir: string, clock: Clock = systemClock): Promise<string> {
  try {
    held.push(await lockDirectory(dir, clock));
    return "won";
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}

/** Sleeps of the lock pass at once: it only ever waits for a heartbeat. */
const hurried: Clock = {
  ...systemClock,
  after: (_delayMs, act, options) => systemClock.after(1, act, options),
};

/** A process that has ended, so that its pid belongs to nobody. */
function deadPid(): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["-e", ""]);
    child.once("close", () => resolve(child.pid ?? 0));
  });
}

describe("directory lock", () => {
  afterEach(async () => {
    for (const lock of held.splice(0)) lock.release();
    for (const dir of dirs.splice(0)) await dir.remove();
  });

  test("one holder at a time, named in the refusal; free again after release", async () => {
    const dir = directory();
    expect(await take(dir)).toBe("won");
    await expect(lockDirectory(dir, systemClock)).rejects.toMatchObject({
      reason: "embedded.locked",
      message: expect.stringContaining(`${dir} is in use by process ${process.pid}`),
    });
    held[0]?.release();
    held[0]?.release();
    expect(await take(dir)).toBe("won");
  });

  test("where nothing can be written it says so, names the directory, and leaves nothing", async () => {
    const dir = directory();
    const file = join(dir, "file");
    writeFileSync(file, "");
    await expect(lockDirectory(file, systemClock)).rejects.toMatchObject({
      ...{ name: "TransportError", reason: "embedded.unwritable" },
      message: expect.stringContaining(`cannot write to the data directory ${file}: ENOTDIR`),
    });
    expect(readdirSync(dir)).toEqual(["file"]);
  });

  test("of many that want a free directory at once exactly one wins, round after round", async () => {
    const dir = directory();
    for (let round = 0; round < 20; round += 1) {
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => take(dir)));
      expect(outcomes.filter((outcome) => outcome === "won")).toHaveLength(1);
      for (const lock of held.splice(0)) lock.release();
    }
    expect(readdirSync(dir)).toHaveLength(1);
  });

  test("the lock of a dead process is taken over, also when its pid came back", async () => {
    const dir = directory();
    expect(await take(dir)).toBe("won");
    const [file] = readdirSync(dir);
    const mine = JSON.parse(readFile(dir, file));
    held.splice(0);
    writeFileSync(join(dir, "omega.lock.5"), JSON.stringify({ ...mine, pid: await deadPid() }));
    expect(await take(dir)).toBe("won");
    held.splice(0);
    // Our own pid, but of a process that started at another time.
    writeFileSync(join(dir, "omega.lock.9"), JSON.stringify({ ...mine, start: "1" }));
    expect(await take(dir)).toBe("won");
    expect(readdirSync(dir)).toEqual(["omega.lock.10"]);
  });

  test("a lock from before a reboot, or one that no one can read, is taken over", async () => {
    const dir = directory();
    expect(await take(dir)).toBe("won");
    const [file] = readdirSync(dir);
    const mine = JSON.parse(readFile(dir, file));
    held.splice(0);
    writeFileSync(join(dir, "omega.lock.5"), JSON.stringify({ ...mine, boot: "another boot" }));
    expect(await take(dir)).toBe("won");
    held.splice(0);
    writeFileSync(join(dir, "omega.lock.20"), "");
    expect(await take(dir)).toBe("won");
  });

  test("a holder in another pid namespace is believed while it touches its file, and not after", async () => {
    const dir = directory();
    expect(await take(dir)).toBe("won");
    const [file] = readdirSync(dir);
    const elsewhere = { ...JSON.parse(readFile(dir, file)), namespace: "pid:[1]" };
    held.splice(0)[0]?.release();
    const foreign = join(dir, "omega.lock.5");
    writeFileSync(foreign, JSON.stringify(elsewhere));
    const touching = setInterval(() => writeFileSync(foreign, JSON.stringify(elsewhere)), 1);
    const watched: Clock = {
      ...systemClock,
      after: (_ms, act, options) => systemClock.after(50, act, options),
    };
    expect(await take(dir, watched)).toBe("embedded.locked");
    clearInterval(touching);
    expect(await take(dir, hurried)).toBe("won");
  });
});

function readFile(dir: string, name: string | undefined): string {
  return readFileSync(join(dir, name ?? ""), "utf8");
}

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FILE_HEADER, frameRecords, RECORD_HEADER_BYTES, scanLog } from "../../device/log-file.ts";
import { type FileOperations, FileStorage, REAL_FILES } from "../../device/storage-file.ts";
import { type TempDir, tempDir } from "../support/disk.ts";

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const text = (value: string) => new TextEncoder().encode(value);
const texts = (records: readonly Uint8Array[]) =>
  records.map((record) => Buffer.from(record).toString());
const logFile = () => join(dir.path, "outbox.log");

async function reopened(): Promise<{ records: string[]; damaged: boolean }> {
  const storage = new FileStorage(dir.path);
  const { records, damaged } = await storage.open();
  await storage.close();
  return { records: texts(records), damaged };
}

async function written(...values: string[]): Promise<FileStorage> {
  const storage = new FileStorage(dir.path);
  await storage.open();
  for (const value of values) await storage.append([text(value)], true);
  return storage;
}

/** File operations that fail from the `failing`-th on, as a crash or a dead disk does. */
function failingFiles(failing: number, only?: string) {
  const seen: string[] = [];
  const step = (name: string) => {
    if (only !== undefined && name !== only) return;
    seen.push(name);
    if (seen.length > failing)
      throw Object.assign(new Error(`${name}: no space left`), { code: "ENOSPC" });
  };
  const files: FileOperations = {
    ...REAL_FILES,
    async open(path, flags) {
      step("open");
      const handle = await open(path, flags);
      return new Proxy(handle, {
        get(target, key) {
          const member = Reflect.get(target, key) as unknown;
          if (typeof member !== "function") return member;
          return (...args: unknown[]) => {
            if (["write", "sync", "datasync", "truncate"].includes(String(key))) step(String(key));
            return Reflect.apply(member, target, args) as unknown;
          };
        },
      }) as FileHandle;
    },
    async rename(from, to) {
      step("rename");
      await rename(from, to);
    },
  };
  return { files, seen };
}

describe("outbox file", () => {
  it("gives back what was appended, in order, across a restart", async () => {
    const storage = await written("one", "two", "");
    await storage.close();
    expect(await reopened()).toEqual({ records: ["one", "two", ""], damaged: false });
  });

  it("P3: a tail torn at any byte is cut off, and nothing before it is lost", async () => {
    const values = ["one", "two", "three"];
    const storage = await written(...values);
    await storage.close();
    const whole = readFileSync(logFile());
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(logFile(), whole.subarray(0, length));
      let intact = 0;
      let end = FILE_HEADER.byteLength;
      for (const value of values) {
        end += RECORD_HEADER_BYTES + value.length;
        if (end <= length) intact += 1;
      }
      const torn = new FileStorage(dir.path);
      const { records, damaged } = await torn.open();
      expect({ length, records: texts(records), damaged }).toEqual({
        length,
        records: values.slice(0, intact),
        damaged: false,
      });
      await torn.append([text("next")], true);
      await torn.close();
      expect((await reopened()).records).toEqual([...values.slice(0, intact), "next"]);
    }
  });

  it("P3: a broken record in the middle is skipped and reported, those behind it survive", async () => {
    const storage = await written("one", "two", "three");
    await storage.close();
    const bytes = readFileSync(logFile());
    const second = FILE_HEADER.byteLength + RECORD_HEADER_BYTES + 3;
    for (let at = second; at < second + RECORD_HEADER_BYTES + 3; at += 1) {
      const broken = Uint8Array.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ 0x55;
      const scan = scanLog(broken);
      expect({ at, records: texts(scan.records), damaged: scan.damaged }).toEqual({
        at,
        records: ["one", "three"],
        damaged: true,
      });
    }
  });

  it("random damage never invents a record", () => {
    const record = fc.uint8Array({ maxLength: 30 });
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 8 }), damage, (records, flips) => {
        const bytes = Uint8Array.from([...FILE_HEADER, ...frameRecords(records)]);
        for (const [at, flip] of flips) {
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ flip;
        }
        const known = new Set(records.map((entry) => Buffer.from(entry).toString("hex")));
        for (const found of scanLog(bytes).records) {
          expect(known).toContain(Buffer.from(found).toString("hex"));
        }
      }),
    );
  });

  it("simultaneous appends share one fdatasync", async () => {
    const { files, seen } = failingFiles(Number.POSITIVE_INFINITY, "datasync");
    const storage = new FileStorage(dir.path, files);
    await storage.open();
    const before = seen.length;
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => storage.append([text(`${index}`)], true)),
    );
    expect(seen.length - before).toBe(1);
    await storage.append([text("lazy")], false);
    expect(seen.length - before).toBe(1);
    await storage.close();
    expect((await reopened()).records.length).toBe(51);
  });

  it("a rewrite interrupted at any step leaves the old log or the new one, whole", async () => {
    const outcomes = new Set<string>();
    for (let crashAt = 0; ; crashAt += 1) {
      await dir.remove();
      mkdirSync(dir.path);
      await (await written("old-1", "old-2")).close();
      const { files, seen } = failingFiles(Number.POSITIVE_INFINITY);
      const counting = new FileStorage(dir.path, files);
      await counting.open();
      const opened = seen.length;
      await counting.close();
      const crashing = new FileStorage(dir.path, failingFiles(opened + crashAt).files);
      await crashing.open();
      const failed = await crashing.rewrite([text("new")]).then(
        () => false,
        () => true,
      );
      await crashing.close();
      const { records, damaged } = await reopened();
      expect(damaged).toBe(false);
      expect([["old-1", "old-2"], ["new"]]).toContainEqual(records);
      outcomes.add(`${failed ? "failed" : "done"}: ${records.join()}`);
      if (!failed) break;
    }
    expect([...outcomes].sort()).toEqual(["done: new", "failed: new", "failed: old-1,old-2"]);
  });

  it("a leftover of an interrupted rewrite is ignored", async () => {
    await (await written("old")).close();
    writeFileSync(`${logFile()}.new`, "half a fil");
    expect((await reopened()).records).toEqual(["old"]);
  });

  it("a failed write leaves the log as it was, and the next one fits", async () => {
    const { files } = failingFiles(2, "write");
    const storage = new FileStorage(dir.path, files);
    await storage.open();
    await storage.append([text("one")], true);
    await expect(storage.append([text("two")], true)).rejects.toMatchObject({
      reason: "outbox.write",
      cause: { code: "ENOSPC" },
    });
    await storage.close();
    expect((await reopened()).records).toEqual(["one"]);
  });

  it("after a failed fdatasync the file is not trusted until it is rewritten", async () => {
    let broken = false;
    const { files } = failingFiles(Number.POSITIVE_INFINITY);
    const flaky: FileOperations = {
      ...files,
      async open(path, flags) {
        const handle = await files.open(path, flags);
        return new Proxy(handle, {
          get(target, key) {
            if (key === "datasync" && broken) return () => Promise.reject(new Error("EIO"));
            const member = Reflect.get(target, key) as unknown;
            return typeof member === "function" ? (member.bind(target) as unknown) : member;
          },
        });
      },
    };
    const storage = new FileStorage(dir.path, flaky);
    await storage.open();
    broken = true;
    await expect(storage.append([text("one")], true)).rejects.toMatchObject({
      reason: "outbox.write",
    });
    broken = false;
    await expect(storage.append([text("two")], true)).rejects.toMatchObject({
      reason: "outbox.write",
    });
    await storage.rewrite([text("whole")]);
    await storage.append([text("three")], true);
    await storage.close();
    expect((await reopened()).records).toEqual(["whole", "three"]);
  });

  it("the cached models are exactly those written last, and damage does not stay", async () => {
    const storage = await written();
    const model = (version: number, value: string) => ({ version, frame: text(value) });
    const held = async () => texts(await storage.readModels()).sort();
    expect(await held()).toEqual([]);
    await storage.writeModels([model(1, "one"), model(2, "two")]);
    expect(await held()).toEqual(["one", "two"]);
    writeFileSync(join(dir.path, "model-2.bin"), "rot");
    writeFileSync(join(dir.path, "model-02.bin"), "not ours");
    expect(await held()).toEqual(["one", "rot"]);
    await storage.writeModels([model(65_535, "new"), model(2, "two")]);
    expect(await held()).toEqual(["new", "two"]);
    await storage.close();
    const again = new FileStorage(dir.path);
    await again.open();
    expect(texts(await again.readModels()).sort()).toEqual(["new", "two"]);
    await again.close();
  });

  it("a model that cannot be written is an outbox.write error, and the one before stays", async () => {
    const whole = await written();
    await whole.writeModels([{ version: 1, frame: text("one") }]);
    await whole.close();
    const storage = new FileStorage(dir.path, failingFiles(0, "rename").files);
    await storage.open();
    await expect(storage.writeModels([{ version: 1, frame: text("1") }])).rejects.toMatchObject({
      reason: "outbox.write",
    });
    expect(texts(await storage.readModels())).toEqual(["one"]);
    await storage.close();
  });

  it("the cached release is replaced whole, and may be absent", async () => {
    const storage = await written();
    expect(await storage.readRelease()).toBeNull();
    await storage.writeRelease(text("first"));
    await storage.writeRelease(text("second"));
    expect(Buffer.from((await storage.readRelease()) ?? []).toString()).toBe("second");
    await storage.close();
  });
});

describe("outbox file on a real full disk", () => {
  it.runIf(process.getuid?.() === 0)(
    "refuses, keeps what it promised, and recovers",
    async (test) => {
      const small = join(dir.path, "small");
      mkdirSync(small);
      try {
        execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small], {
          stdio: "pipe",
        });
      } catch {
        test.skip("may not mount here: the double above has to do");
      }
      try {
        const storage = new FileStorage(join(small, "tv"));
        await storage.open();
        const stored: string[] = [];
        const record = "x".repeat(6_000);
        let refused = false;
        for (let index = 0; index < 20 && !refused; index += 1) {
          await storage.append([text(`${index}${record}`)], true).then(
            () => stored.push(`${index}${record}`),
            (error: unknown) => {
              expect(error).toMatchObject({ reason: "outbox.write" });
              refused = true;
            },
          );
        }
        expect(refused).toBe(true);
        await storage.append([text("small")], true);
        await storage.close();
        const again = new FileStorage(join(small, "tv"));
        expect(texts((await again.open()).records)).toEqual([...stored, "small"]);
        await again.close();
      } finally {
        execFileSync("/bin/umount", [small]);
      }
    },
  );
});

describe("data directory lock", () => {
  it("one directory serves one storage at a time", async () => {
    const storage = await written("one");
    await expect(new FileStorage(dir.path).open()).rejects.toMatchObject({
      reason: "outbox.locked",
      detail: { pid: process.pid },
    });
    await storage.close();
    expect((await reopened()).records).toEqual(["one"]);
  });

  it("a holder that was killed, or whose lock was torn, does not count", async () => {
    await (await written("one")).close();
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    const lock = join(dir.path, "lock");
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    writeFileSync(lock, JSON.stringify({ pid: child.pid, started, boot }));
    await expect(reopened()).rejects.toMatchObject({ reason: "outbox.locked" });
    writeFileSync(lock, JSON.stringify({ pid: child.pid, started: "1", boot }));
    expect((await reopened()).records).toEqual(["one"]); // the pid was given to someone else
    writeFileSync(lock, JSON.stringify({ pid: child.pid, started, boot }));
    child.kill("SIGKILL");
    await once(child, "exit");
    expect((await reopened()).records).toEqual(["one"]);
    writeFileSync(lock, '{"pid":');
    expect((await reopened()).records).toEqual(["one"]);
  });
});

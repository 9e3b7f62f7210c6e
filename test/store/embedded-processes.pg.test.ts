import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { SqlPool } from "../../src/core/index.ts";
import { postgresQueue } from "../../src/queue/index.ts";
import { childChannel, openEmbedded } from "../../src/store/embedded/index.ts";
import { builtFile, embeddedWorkerUrl } from "../queue/embedded-worker-url.ts";
import { tempDir } from "../support/disk.ts";
import { type Running, run } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";

const LONG = { timeout: 120_000 };
const script = (name: string) => fileURLToPath(new URL(`../queue/${name}`, import.meta.url));
const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

const dir = tempDir("omega-embedded-");
const started: Running[] = [];

function owner(...args: string[]): Running {
  const running = run(process.execPath, [
    script("embedded-owner.mjs"),
    builtFile("."),
    dir.path,
    ...args,
  ]);
  started.push(running);
  return running;
}

const says = (running: Running, text: string) =>
  waitFor(() => running.stdout().includes(text), { what: `"${text}"`, timeoutMs: 60_000 });

afterEach(async () => {
  for (const running of started.splice(0)) await running.kill();
});
afterAll(() => dir.remove());

describe("embedded database and processes", () => {
  test(
    "P1: kill -9 of the owner in the middle of adds, five times: nothing acknowledged is missing",
    LONG,
    async () => {
      const acked: number[] = [];
      for (let round = 0; round < 5; round += 1) {
        const process = owner("add", String(round * 1_000_000));
        await waitFor(() => (process.stdout().match(/acked/g)?.length ?? 0) >= 150 + round * 37, {
          what: "acknowledged adds",
          timeoutMs: 60_000,
        });
        await process.kill("SIGKILL");
        acked.push(
          ...[...process.stdout().matchAll(/acked (\d+)\n/g)].map((match) => Number(match[1])),
        );
      }
      const database = await openEmbedded({ dir: dir.path, workerUrl: embeddedWorkerUrl() });
      const queue = await postgresQueue({ pool: database.pool, kind: "embedded", shards: 1, log });
      const got = new Set<number>();
      const consumer = queue.consumer(0, async (entries) => {
        for (const { receivedAtMs } of entries) got.add(receivedAtMs);
      });
      await consumer.start();
      const producer = await queue.producer();
      await waitFor(async () => (await producer.depth()) === 0, { what: "an empty queue" });
      expect(acked.filter((number) => !got.has(number))).toEqual([]);
      expect(acked.length).toBeGreaterThan(900);
      await queue.close();
      await database.close();
    },
  );

  test(
    "a second process is refused with directory and pid; after kill -9 the next one opens",
    LONG,
    async () => {
      const first = owner("hold");
      await says(first, "open");
      const second = owner("hold");
      await says(second, "refused");
      expect(second.stdout()).toContain("embedded.locked");
      expect(second.stdout()).toContain(`${dir.path} is in use by process ${first.pid}`);
      await first.kill("SIGKILL");
      const third = owner("hold");
      await says(third, "open");
    },
  );

  test(
    "processes that want a stale lock at the same moment: exactly one wins, every time",
    LONG,
    async () => {
      const contested = tempDir("omega-contested-");
      for (let round = 0; round < 6; round += 1) {
        const contenders = Array.from({ length: 4 }, () =>
          run(process.execPath, [script("lock-contender.mjs"), builtFile("."), contested.path]),
        );
        started.push(...contenders);
        await Promise.all(contenders.map((contender) => says(contender, "ready")));
        for (const { child } of contenders) child.stdin?.write("go\n");
        await Promise.all(
          contenders.map((contender) => waitFor(() => /won|lost/.test(contender.stdout()))),
        );
        expect(contenders.filter((contender) => contender.stdout().includes("won"))).toHaveLength(
          1,
        );
        // The winner dies with the lock in hand; the next round finds it stale.
        await Promise.all(contenders.map((contender) => contender.kill("SIGKILL")));
      }
      await contested.remove();
    },
  );

  async function withClient(
    mode: "listen" | "hold",
    act: (client: { printed(): string; kill(): void }, pool: SqlPool) => Promise<void>,
  ): Promise<void> {
    const database = await openEmbedded({ dir: dir.path, workerUrl: embeddedWorkerUrl() });
    const { pool } = database;
    await pool.query("CREATE TABLE IF NOT EXISTS public.held (id int)");
    const child = fork(script("embedded-client.mjs"), [builtFile("."), mode], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    database.serve(childChannel(child));
    const ended = new Promise((resolve) => child.once("close", resolve));
    let printed = "";
    child.stdout?.on("data", (chunk) => {
      printed += chunk;
    });
    try {
      await act({ printed: () => printed, kill: () => child.kill("SIGKILL") }, pool);
      const listening = () => pool.query("SELECT pg_listening_channels() AS channel");
      await waitFor(async () => (await listening()).rows.length === 0, { what: "no LISTEN left" });
    } finally {
      child.kill("SIGKILL");
      await ended;
      await database.close();
    }
  }

  test(
    "a client process killed inside a transaction: rolled back, its LISTENs gone, the line moves on",
    LONG,
    async () => {
      await withClient("hold", async (client, pool) => {
        await waitFor(() => client.printed().includes("inside"), { what: "the transaction" });
        expect(client.printed()).toContain("bytes true 00ff80 9007199254740993\n");
        expect(client.printed()).toContain("error 22012\n");
        const line = pool.query("SELECT count(*)::int AS n FROM public.held");
        client.kill();
        expect((await line).rows).toEqual([{ n: 0 }]);
      });
    },
  );

  test("a client process hears the notifications it listens to", LONG, async () => {
    await withClient("listen", async (client, pool) => {
      await waitFor(() => client.printed().includes("error"), { what: "the client" });
      await pool.query("SELECT pg_notify('news', 'hello')");
      await waitFor(() => client.printed().includes("heard news hello"), { what: "the news" });
      client.kill();
    });
  });
});

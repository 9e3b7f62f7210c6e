/**
 * A consumer in a process of its own that takes a job and never ends it.
 * Plain JavaScript on the build: Node 20 runs no TypeScript.
 *
 *   node stuck-consumer.mjs <dist> redis|postgres|embedded <prefix> <url>
 * @module
 */
const [dist, kind, prefix, url] = process.argv.slice(2);
const { redisQueue, postgresQueue } = await import(`${dist}/src/queue/index.js`);

const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const options = {
  shards: 1,
  prefix,
  log,
  consumer: { lockMs: 1_000, stalledCheckMs: 250 },
};

async function backend() {
  if (kind === "redis") return redisQueue({ ...options, url });
  if (kind === "postgres") {
    const { openPostgresPool } = await import(`${dist}/src/store/postgres-pool.js`);
    return postgresQueue({ ...options, kind, pool: openPostgresPool(url) });
  }
  const { connectEmbedded, parentChannel } = await import(`${dist}/src/store/embedded/index.js`);
  return postgresQueue({ ...options, kind, pool: connectEmbedded(parentChannel()) });
}

const consumer = (await backend()).consumer(0, () => {
  process.stdout.write("holding\n");
  return new Promise(() => {});
});
await consumer.start();
// Not left behind when the test that started it died.
process.once("disconnect", () => process.exit(1));

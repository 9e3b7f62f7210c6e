/**
 * A process that owns an embedded database and prints what was acknowledged to it. Plain JavaScript on the build.
 *
 *   node embedded-owner.mjs <dist> <dir> add <first>   adds entries for ever, prints each number once durable
 *   node embedded-owner.mjs <dist> <dir> hold          opens the directory and keeps it
 * @module
 */
const [dist, dir, mode, first] = process.argv.slice(2);
const { openEmbedded } = await import(`${dist}/src/store/embedded/index.js`);
const { postgresQueue } = await import(`${dist}/src/queue/index.js`);

const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const say = (line) => process.stdout.write(`${line}\n`);

let database;
try {
  database = await openEmbedded({ dir });
} catch (error) {
  say(`refused ${error.reason} ${error.message}`);
  process.exit(3);
}
say("open");
if (mode === "add") {
  const queue = await postgresQueue({ pool: database.pool, kind: "embedded", shards: 1, log });
  const producer = await queue.producer();
  for (let number = Number(first); ; number += 16) {
    const adds = Array.from({ length: 16 }, (_, index) => {
      const receivedAtMs = number + index;
      const key = { tenant: "t", device: "d" };
      return producer
        .add(0, [{ key, receivedAtMs, frame: new Uint8Array(200) }])
        .then(() => say(`acked ${receivedAtMs}`));
    });
    await Promise.all(adds);
  }
}

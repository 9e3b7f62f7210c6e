/**
 * A process that reaches the embedded database of its parent, listens, and stays until it is killed. Plain JavaScript on the build.
 *
 *   node embedded-client.mjs <dist> listen|hold   hold: also opens a transaction
 * @module
 */
const [dist, mode] = process.argv.slice(2);
const { connectEmbedded, parentChannel } = await import(`${dist}/src/store/embedded/index.js`);

const pool = connectEmbedded(parentChannel());
const listener = await pool.connect();
listener.on("notification", ({ channel, payload }) =>
  process.stdout.write(`heard ${channel} ${payload}\n`),
);
await listener.query("LISTEN news");
const { rows } = await pool.query("SELECT $1::bytea AS bytes, 9007199254740993::int8 AS big", [
  Buffer.from([0, 255, 128]),
]);
process.stdout.write(
  `bytes ${Buffer.isBuffer(rows[0].bytes)} ${rows[0].bytes.toString("hex")} ${rows[0].big}\n`,
);
await pool.query("SELECT 1/0").catch((error) => process.stdout.write(`error ${error.code}\n`));
if (mode === "hold") {
  const client = await pool.connect();
  await client.query("BEGIN");
  await client.query("INSERT INTO public.held VALUES (1)");
  process.stdout.write("inside\n");
}
setInterval(() => {}, 1_000);
// Not left behind when the test that started it died.
process.once("disconnect", () => process.exit(1));

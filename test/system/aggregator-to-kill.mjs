/**
 * The real aggregator and releaser, composed from the build, that end their own process by SIGKILL at a chosen commit.
 * Plain JavaScript on the build: Node 20 runs no TypeScript.
 *
 *   node aggregator-to-kill.mjs <dist> '{"settings": ["path=value"], "strike": {"moment", "nth"} | null}'
 *
 *   fold ── before-commit ──▶ store.commit ── after-commit ──▶ jobs complete
 *
 * Without a backend among the settings, the database is the parent's.
 * @module
 */
const [dist, text] = process.argv.slice(2);
const load = (path) => import(`${dist}/src/${path}`);
const { readConfig } = await load("cli/config.js");
const { openBackend } = await load("cli/compose/backend.js");
const { Aggregator, Releaser } = await load("aggregate/index.js");
const { createLogger, noMetrics: metrics } = await load("observe/index.js");
const { loadZstd } = await load("wire/index.js");

/** Not left behind when the test that started it died. */
process.once("disconnect", () => process.exit(1));

const { settings, strike } = JSON.parse(text);
const { config } = readConfig({ env: {}, cwd: "/" }, { set: settings });
const log = createLogger({ level: "error", name: "aggregator-to-kill" });
const fromParent = config.backend.kind === "embedded";
const backend = await openBackend({ config, log, metrics, fromParent });
const { store, queue } = backend;
const zstd = await loadZstd();

const seen = { "before-commit": 0, "after-commit": 0 };
function at(moment) {
  seen[moment] += 1;
  if (strike?.moment === moment && strike.nth === seen[moment])
    process.kill(process.pid, "SIGKILL");
}

const commit = store.commit.bind(store);
store.commit = async (...args) => {
  await commit(...args);
  at("after-commit");
};

const { minDevices, cadenceMs } = config.releaser;
const { leaseTtlMs } = config.aggregator;
const dimOf = (tenant) => config.tenants[tenant].dim;
const aggregator = new Aggregator({
  ...{ queue, store, zstd, log, metrics },
  policy: { dimOf },
  settings: { ...config.aggregator, tickMs: 250 },
  beforeCommit: async () => at("before-commit"),
});
const releaser = new Releaser({
  ...{ store, zstd, log, metrics, dimOf },
  policy: { minDevices },
  settings: { cadenceMs, leaseTtlMs },
});
await aggregator.start();
await releaser.start();
process.stdout.write('{"ready":"aggregator-to-kill"}\n');

process.once("SIGTERM", async () => {
  await releaser.stop();
  await aggregator.stop();
  await backend.close();
  process.exit(0);
});

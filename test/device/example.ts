/** The README quotes this file; there the import names the package, omega-sync. */
import { SyncClient } from "../../device/index.ts";

const client = new SyncClient({
  deviceId: "tv-1",
  endpoints: ["mqtt://127.0.0.1:1883"],
  dataDir: "./tv-1",
});
client.on("release", ({ version }) => console.log(version, client.patterns.size, client.trends));
await client.start();
const embedding = new Float32Array(384).fill(0.05);
await client.sync({ upserts: [{ id: "late-night-scifi", embedding, weight: 12, success: 0.8 }] });
await client.stop();

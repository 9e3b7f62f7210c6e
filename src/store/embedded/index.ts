export { type Channel, childChannel, parentChannel } from "./channel.ts";
export { connectEmbedded } from "./connect.ts";
export {
  type EmbeddedDatabase,
  type EmbeddedOptions,
  openEmbedded,
  SURVIVES,
  serveEmbedded,
} from "./database.ts";

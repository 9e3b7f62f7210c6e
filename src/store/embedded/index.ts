export { childChannel, parentChannel } from "./channel.ts";
export { connectEmbedded } from "./connect.ts";
export { type EmbeddedDatabase, openEmbedded } from "./database.ts";

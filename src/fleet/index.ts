export { findAnchors } from "./anchors.ts";
export { makeCatalogue } from "./catalogue.ts";
export { Fleet } from "./fleet.ts";
export { type History, inventHistory, readHistory } from "./history.ts";
export type { Percentiles, Scoreboard } from "./scoreboard.ts";

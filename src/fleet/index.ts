export { type AnchorOptions, type Anchors, findAnchors } from "./anchors.ts";
export { type Catalogue, type Item, makeCatalogue } from "./catalogue.ts";
export { Fleet, type FleetDevice, type FleetOptions } from "./fleet.ts";
export { type History, inventHistory, readHistory, type Viewer } from "./history.ts";
export type { Percentiles, Scoreboard } from "./scoreboard.ts";

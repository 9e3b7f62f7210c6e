/**
 * A drawing for each dimension: what a delta costs each process at each point. Pure.
 * @module
 */
import { HEIGHT, plotSvg, type Series, WIDTH } from "../../src/fleet/load/plot-svg.ts";
import type { CodecId } from "./frame-pool.ts";
import type { Dimension } from "./points.ts";
import type { Row } from "./report.ts";

const TITLE: Readonly<Record<Dimension, string>> = {
  devices: "Cost of a delta against devices",
  shards: "Cost of a delta against shards",
  patterns: "Cost of a delta against patterns per device",
  catalogue: "Cost of a delta against patterns in the catalogue",
};
const CODECS: readonly CodecId[] = [0, 1];
const STYLE = [
  "text { font: 12px system-ui, sans-serif; fill: #374151 }",
  ".title { font-weight: 600; fill: #111827 }",
  ".grid { stroke: #e5e7eb }",
].join(" ");

/** A complete SVG file; null when there are fewer than two points of the dimension. */
export function scalePlot(dimension: Dimension, rows: readonly Row[]): string | null {
  const own = rows.filter((row) => row.dimension === dimension);
  const points = [...new Set(own.map(({ at }) => at))].sort((a, b) => a - b);
  if (points.length < 2) return null;
  const series = CODECS.flatMap((codec): Series[] => {
    const line = (name: string, pick: (row: Row) => number): Series => ({
      name: `${name}, codec ${codec}`,
      values: points.map((at) => {
        const row = own.find((one) => one.at === at && one.codec === codec);
        return row === undefined ? null : pick(row);
      }),
    });
    return [
      line("gateway", (row) => row.gatewayUs),
      line("Redis", (row) => row.redisUs),
      line("aggregator", (row) => row.aggregatorUs),
    ];
  });
  const plot = plotSvg({
    ...{ title: TITLE[dimension], unit: "CPU µs of each process", series },
    // Points lie as far apart as their orders of magnitude do.
    seconds: points.map(Math.log10),
    ticks: points.map((at) => ({ at: Math.log10(at), label: at.toLocaleString("en") })),
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}">`,
    `<title>${TITLE[dimension]}</title>`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    plot,
    "</svg>\n",
  ].join("\n");
}

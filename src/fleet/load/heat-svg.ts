/**
 * The latency histogram over time: a column per second, a row per octave, the darker the more deltas. Pure.
 *
 * Percentiles tell how bad the worst are; this tells whether there are two
 * kinds of deltas, which no percentile does.
 * @module
 */
import { HEIGHT, MARGIN, short, WIDTH } from "./plot-svg.ts";
import type { Moment } from "./timeline.ts";

/** Longer runs put neighbouring seconds into one column. */
const COLUMNS_MAX = 200;
const TITLE = "PUBACK latencies";

export function heatSvg(moments: readonly Moment[]): string {
  const columns = columnsOf(moments);
  const octaves = columns.flatMap((column) => [...column.keys()]);
  const least = octaves.reduce((min, octave) => Math.min(min, octave), 33);
  const most = octaves.reduce((max, octave) => Math.max(max, octave), least);
  const rows = most - least + 1;
  const right = WIDTH - MARGIN.right;
  const cellWidth = (right - MARGIN.left) / Math.max(1, columns.length);
  const cellHeight = (HEIGHT - MARGIN.top - MARGIN.bottom) / rows;
  const top = (octave: number) => HEIGHT - MARGIN.bottom - (octave - least + 1) * cellHeight;
  const cells = columns.flatMap((column, index) => {
    const total = [...column.values()].reduce((sum, count) => sum + count, 0);
    return [...column].map(([octave, count]) => {
      // The square root, so that the rare and late ones are seen at all.
      const shade = Math.sqrt(count / total).toFixed(3);
      const x = (MARGIN.left + index * cellWidth).toFixed(1);
      return `<rect x="${x}" y="${top(octave).toFixed(1)}" width="${cellWidth.toFixed(1)}" height="${cellHeight.toFixed(1)}" fill="#0072b2" fill-opacity="${shade}"/>`;
    });
  });
  const labels = octaves.length === 0 ? [] : Array.from({ length: rows }, (_, row) => least + row);
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${TITLE}">`,
    `<text x="${MARGIN.left}" y="16" class="title">${TITLE} (share of each second's deltas, below so many ms)</text>`,
    ...cells,
    ...labels.map((octave) => {
      const y = (top(octave) + cellHeight / 2 + 4).toFixed(1);
      return `<text x="${MARGIN.left - 6}" y="${y}" text-anchor="end">${short(2 ** octave / 1_000)}</text>`;
    }),
    `<text x="${MARGIN.left}" y="${HEIGHT - 8}">${short(moments[0]?.second ?? 0)} s</text>`,
    `<text x="${right}" y="${HEIGHT - 8}" text-anchor="end">${short(moments.at(-1)?.second ?? 0)} s</text>`,
    "</svg>",
  ].join("\n");
}

/** Deltas by octave, of each column in turn. */
function columnsOf(moments: readonly Moment[]): Map<number, number>[] {
  const seconds = Math.max(1, Math.ceil(moments.length / COLUMNS_MAX));
  const columns: Map<number, number>[] = [];
  for (const [index, { ackOctaves }] of moments.entries()) {
    const at = Math.floor(index / seconds);
    const column = columns[at] ?? new Map<number, number>();
    columns[at] = column;
    for (const [octave, count] of ackOctaves) {
      column.set(octave, (column.get(octave) ?? 0) + count);
    }
  }
  return columns;
}

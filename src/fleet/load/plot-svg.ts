/**
 * A plot over the seconds of a run, or over whatever its ticks say, as inline SVG. Pure.
 * @module
 */

export interface Series {
  readonly name: string;
  /** One value per second; null leaves a gap. */
  readonly values: readonly (number | null)[];
}

export interface Plot {
  readonly title: string;
  readonly unit: string;
  /** Where along the axis each value lies. */
  readonly seconds: readonly number[];
  /** What stands under the axis instead of the first and the last second. */
  readonly ticks?: readonly { readonly at: number; readonly label: string }[];
  readonly series: readonly Series[];
  /** A logarithmic axis, for what spans orders of magnitude; it starts at 1 or below. */
  readonly log?: boolean;
}

export const WIDTH = 860;
export const HEIGHT = 240;
export const MARGIN = { left: 64, right: 150, top: 28, bottom: 28 } as const;
/** Okabe and Ito's palette, which colour-blind readers can tell apart. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555"];
const TICKS = 4;

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

export function plotSvg(plot: Plot): string {
  const { title, unit, seconds, series, log = false } = plot;
  const known = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const axis = log ? logAxis(known) : linearAxis(known);
  const first = seconds[0] ?? 0;
  const last = seconds.at(-1) ?? 1;
  // The first second of a run is all there is for a moment.
  const span = plot.ticks === undefined ? Math.max(1, last - first) : last - first || 1;
  const x = (second: number) =>
    MARGIN.left + ((second - first) / span) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number) =>
    HEIGHT - MARGIN.bottom - axis.share(value) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const right = WIDTH - MARGIN.right;
  const lines = axis.ticks.map(
    (tick) =>
      `<line x1="${MARGIN.left}" x2="${right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" class="grid"/>` +
      `<text x="${MARGIN.left - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${short(tick)}</text>`,
  );
  const curves = series.map(({ name, values }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const points = pathOf(values, seconds, x, y);
    const legendY = MARGIN.top + 8 + index * 18;
    return (
      `<path d="${points}" fill="none" stroke="${colour}" stroke-width="1.6"/>` +
      `<rect x="${right + 12}" y="${legendY - 8}" width="10" height="10" fill="${colour}"/>` +
      `<text x="${right + 28}" y="${legendY + 1}">${escapeXml(name)}</text>`
    );
  });
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeXml(title)}">`,
    `<text x="${MARGIN.left}" y="16" class="title">${escapeXml(title)} (${escapeXml(unit)})</text>`,
    ...lines,
    ...(plot.ticks?.map(({ at, label }) => tickSvg(x(at), label, "middle")) ?? [
      tickSvg(MARGIN.left, `${short(first)} s`, "start"),
      tickSvg(right, `${short(first + span)} s`, "end"),
    ]),
    ...curves,
    "</svg>",
  ].join("\n");
}

function tickSvg(x: number, label: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x.toFixed(1)}" y="${HEIGHT - 8}" text-anchor="${anchor}">${escapeXml(label)}</text>`;
}

interface Axis {
  /** Where a value lies, 0 at the bottom to 1 at the top. */
  readonly share: (value: number) => number;
  readonly ticks: readonly number[];
}

function linearAxis(values: readonly number[]): Axis {
  const top = roundUp(values.reduce((max, value) => Math.max(max, value), 0));
  return {
    share: (value) => value / top,
    ticks: Array.from({ length: TICKS + 1 }, (_, index) => (top * index) / TICKS),
  };
}

function logAxis(values: readonly number[]): Axis {
  const positive = values.filter((value) => value > 0);
  const least = positive.reduce((min, value) => Math.min(min, value), 1);
  const most = positive.reduce((max, value) => Math.max(max, value), 10 * least);
  const [bottom, top] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  return {
    share: (value) => (Math.log10(Math.max(value, 10 ** bottom)) - bottom) / (top - bottom),
    ticks: Array.from({ length: top - bottom + 1 }, (_, index) => 10 ** (bottom + index)),
  };
}

/** The least 1, 2 or 5 times a power of ten that is not below `value`; 1 for 0. */
function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}

function pathOf(
  values: readonly (number | null)[],
  seconds: readonly number[],
  x: (second: number) => number,
  y: (value: number) => number,
): string {
  let pen = "M";
  const steps: string[] = [];
  for (const [index, value] of values.entries()) {
    if (value === null) {
      pen = "M";
      continue;
    }
    steps.push(`${pen}${x(seconds[index] ?? 0).toFixed(1)},${y(value).toFixed(1)}`);
    pen = "L";
  }
  return steps.join("");
}

export function short(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
  return `${+value.toPrecision(3)}`;
}

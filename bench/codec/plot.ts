/**
 * The plot: fidelity against bytes of the complete frame, one panel per set and case, with the best
 * that any code could reach in a frame of that many bytes.
 *
 * Drawn by hand as SVG: both axes are logarithmic, the vertical one in 1 − cosine, so that .99 lies
 * as far above .9 as .999 above .99.
 * @module
 */

export interface PlotPoint {
  readonly name: string;
  readonly bytes: number;
  readonly cosine: number;
  readonly ours: boolean;
}

export interface PlotPanel {
  readonly title: string;
  /** Bytes that a frame of this case may have. */
  readonly budget: number;
  /** The best cosine of a frame of so many bytes; null when it is not known. */
  readonly limit: ((bytes: number) => number) | null;
  readonly points: readonly PlotPoint[];
  /** Ours at other budgets. */
  readonly curve: readonly PlotPoint[];
}

const PANEL = { width: 560, height: 400, left: 62, right: 20, top: 44, bottom: 46 } as const;
const COLUMNS = 2;
const FOOT = 46;
const ERROR = { low: 2e-5, high: 0.6 } as const;
const COSINE_TICKS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999] as const;
const LABEL_HEIGHT = 12;
const LETTER_WIDTH = 5.8;
const SPOT_SIZE = 8;
/** Keeps a label readable where a line runs beneath it. */
const HALO = 'stroke="#ffffff" stroke-width="3"';
const COLOUR = {
  ours: "#c2410c",
  limit: "#111827",
  other: "#2563eb",
  grid: "#e5e7eb",
  text: "#374151",
};

/** All panels in one drawing. */
export function plotSvg(panels: readonly PlotPanel[], foot: readonly string[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const width = COLUMNS * PANEL.width;
  const height = rows * PANEL.height + FOOT;
  const groups = panels.map((panel, at) => {
    const x = (at % COLUMNS) * PANEL.width;
    const y = Math.floor(at / COLUMNS) * PANEL.height;
    return `<g transform="translate(${x} ${y})">\n${drawPanel(panel)}\n</g>`;
  });
  const notes = foot.map((line, at) =>
    text(PANEL.left, rows * PANEL.height + 16 + 16 * at, line, COLOUR.text),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11" paint-order="stroke" stroke-linejoin="round">`,
    "<title>Fidelity against bytes of the frame: every method and the Shannon limit</title>",
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...groups,
    ...notes,
    "</svg>\n",
  ].join("\n");
}

interface Scale {
  readonly x: (bytes: number) => number;
  readonly y: (cosine: number) => number;
  readonly bytesMin: number;
  readonly bytesMax: number;
}

function drawPanel(panel: PlotPanel): string {
  const scale = scaleOf(panel);
  return [
    text(PANEL.left, 24, panel.title, COLOUR.limit, 'font-size="14" font-weight="600"'),
    drawGrid(scale),
    drawBudget(panel, scale),
    polyline(limitLine(panel, scale), COLOUR.limit, 1.5),
    polyline(
      panel.curve.map(({ bytes, cosine }) => [scale.x(bytes), scale.y(cosine)]),
      COLOUR.ours,
      2,
    ),
    ...drawPoints(panel.points, scale),
  ].join("\n");
}

function scaleOf({ points, curve, budget }: PlotPanel): Scale {
  const all = [...points, ...curve].map(({ bytes }) => bytes);
  const bytesMin = Math.min(budget / 4, ...all) / 1.1;
  const bytesMax = Math.max(...all, budget * 4) * 1.5;
  const width = PANEL.width - PANEL.left - PANEL.right;
  const height = PANEL.height - PANEL.top - PANEL.bottom;
  const share = (value: number, low: number, high: number) =>
    Math.log(value / low) / Math.log(high / low);
  return {
    bytesMin,
    bytesMax,
    x: (bytes) => PANEL.left + width * share(bytes, bytesMin, bytesMax),
    y: (cosine) => {
      const error = Math.min(ERROR.high, Math.max(ERROR.low, 1 - cosine));
      return PANEL.top + height * share(error, ERROR.low, ERROR.high);
    },
  };
}

function drawGrid(scale: Scale): string {
  const bottom = PANEL.height - PANEL.bottom;
  const right = PANEL.width - PANEL.right;
  const parts: string[] = [];
  for (const cosine of COSINE_TICKS) {
    const y = scale.y(cosine);
    parts.push(line(PANEL.left, y, right, y, COLOUR.grid));
    parts.push(text(PANEL.left - 6, y + 4, String(cosine), COLOUR.text, 'text-anchor="end"'));
  }
  for (let bytes = 64; bytes <= scale.bytesMax; bytes *= 2) {
    if (bytes < scale.bytesMin) continue;
    const x = scale.x(bytes);
    parts.push(line(x, PANEL.top, x, bottom, COLOUR.grid));
    parts.push(text(x, bottom + 16, String(bytes), COLOUR.text, 'text-anchor="middle"'));
  }
  const middle = (PANEL.left + right) / 2;
  parts.push(text(middle, bottom + 34, "bytes of the frame", COLOUR.text, 'text-anchor="middle"'));
  parts.push(text(8, PANEL.top - 6, "mean cosine", COLOUR.text));
  return parts.join("\n");
}

function drawBudget({ budget }: PlotPanel, scale: Scale): string {
  const x = scale.x(budget);
  const bottom = PANEL.height - PANEL.bottom;
  const dashes = 'stroke-dasharray="4 3"';
  return [
    line(x, PANEL.top, x, bottom, "#9ca3af", dashes),
    text(x, PANEL.top - 6, `budget ${budget}`, "#6b7280", 'text-anchor="middle"'),
  ].join("\n");
}

function limitLine({ limit }: PlotPanel, scale: Scale): [number, number][] {
  if (limit === null) return [];
  const steps = 120;
  const ratio = scale.bytesMax / scale.bytesMin;
  return Array.from({ length: steps + 1 }, (_, at) => scale.bytesMin * ratio ** (at / steps))
    .map((bytes) => ({ bytes, cosine: limit(bytes) }))
    .filter(({ cosine }) => 1 - cosine > ERROR.low && 1 - cosine < ERROR.high)
    .map(({ bytes, cosine }): [number, number] => [scale.x(bytes), scale.y(cosine)]);
}

interface Spot {
  readonly x: number;
  readonly y: number;
  readonly ours: boolean;
  readonly names: string[];
}

/** Methods that land on one spot share a label; ours stand left of their point, others right. */
function drawPoints(points: readonly PlotPoint[], scale: Scale): string[] {
  const spots: Spot[] = [];
  for (const { name, bytes, cosine, ours } of points) {
    const x = scale.x(bytes);
    const y = scale.y(cosine);
    const near = spots.find(
      (spot) => spot.ours === ours && Math.hypot(spot.x - x, spot.y - y) < SPOT_SIZE,
    );
    if (near === undefined) spots.push({ x, y, ours, names: [name] });
    else if (!near.names.includes(name)) near.names.push(name);
  }
  const placed: Box[] = [];
  const labels = spots.sort((a, b) => a.y - b.y).map((spot) => drawLabel(spot, placed));
  const circles = points.map(({ bytes, cosine, ours }) => {
    const at = `cx="${n(scale.x(bytes))}" cy="${n(scale.y(cosine))}"`;
    return `<circle ${at} r="${ours ? 4.5 : 3.5}" fill="${ours ? COLOUR.ours : COLOUR.other}"/>`;
  });
  return [...labels, ...circles];
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly y: number;
}

/** Labels that would overlap move down. */
function drawLabel({ x, y, ours, names }: Spot, placed: Box[]): string {
  const label = names.join(", ");
  const width = label.length * LETTER_WIDTH;
  const crowded = x + width > PANEL.width - PANEL.right;
  const toLeft = ours || crowded;
  const from = crowded ? x + 8 : ours ? x - 8 : x + 8;
  const [left, right] = toLeft ? [from - width, from] : [from, from + width];
  const hits = (at: number) =>
    placed.some(
      (box) => box.left < right && left < box.right && Math.abs(box.y - at) < LABEL_HEIGHT,
    );
  // On the edge the label would lie on a neighbour's point, so it goes beneath.
  let at = crowded ? y + 18 : y + 4;
  while (hits(at)) at += 1;
  placed.push({ left, right, y: at });
  const colour = ours ? COLOUR.ours : COLOUR.other;
  return text(from, at, label, colour, `${toLeft ? 'text-anchor="end" ' : ""}${HALO}`);
}

function n(value: number): string {
  return value.toFixed(1);
}

function text(x: number, y: number, words: string, colour: string, more = ""): string {
  const safe = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${n(x)}" y="${n(y)}" fill="${colour}" ${more}>${safe}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ""): string {
  return `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" stroke="${colour}" ${more}/>`;
}

function polyline(points: readonly (readonly number[])[], colour: string, width: number): string {
  if (points.length === 0) return "";
  const list = points.map(([x = 0, y = 0]) => `${n(x)},${n(y)}`).join(" ");
  return `<polyline points="${list}" fill="none" stroke="${colour}" stroke-width="${width}"/>`;
}

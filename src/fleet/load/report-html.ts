/**
 * The report: one HTML file that needs nothing but itself. Pure.
 * @module
 */
import { heatSvg } from "./heat-svg.ts";
import { escapeXml, type Plot, plotSvg, type Series } from "./plot-svg.ts";
import type { FleetResult } from "./result.ts";
import { METRIC_HELP, type MetricName } from "./threshold.ts";
import type { Moment } from "./timeline.ts";

/** Versions drawn by their own line; the oldest go together in one. */
const VERSIONS_MAX = 6;

/** It has no script and loads nothing, and a browser holds it to that (THREATS 24). */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.bad { color: #b00020; font-weight: 600 } .good { color: #00695c; font-weight: 600 }
.box { border-left: 4px solid #b00020; background: #fdecea; padding: .5rem 1rem }
svg { width: 100%; height: auto; margin: .5rem 0 } svg text { font: 11px system-ui, sans-serif; fill: #444 }
svg .title { font-size: 13px; font-weight: 600 } svg .grid { stroke: #ddd }`;

export function reportHtml(result: FleetResult): string {
  const title = `Fleet: ${result.devices} devices, ${result.scenario}, ${result.target}`;
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    `<title>${escapeXml(title)}</title><style>${STYLE}</style></head><body>`,
    `<h1>${escapeXml(title)}</h1>`,
    `<p>${escapeXml(factsOf(result))}</p>`,
    saturationOf(result),
    `<p><strong>${escapeXml(result.serverLimitNote)}</strong></p>`,
    thresholdsOf(result),
    "<h2>Over time</h2>",
    heatSvg(result.moments),
    ...plotsOf(result.moments).map(plotSvg),
    "<h2>Numbers</h2>",
    metricsOf(result),
    countsOf(result),
    "</body></html>",
    "",
  ].join("\n");
}

function factsOf(result: FleetResult): string {
  const { rampS, durationS, network, seed, startedAt, interrupted, generator } = result;
  const ending = interrupted ? "; stopped before its time" : "";
  return (
    `${startedAt}; ramp ${rampS} s, then ${durationS} s; network ${network}; seed ${seed}; ` +
    `${generator.processes} load process(es)${ending}. Latency counts from when a delta was due, ` +
    "not from when it could be sent. Frame bodies are a pool of deltas encoded beforehand."
  );
}

function saturationOf({ generator }: FleetResult): string {
  const { saturated, reasons, scheduleLagMs, utilisation } = generator;
  if (saturated) {
    const lines = reasons.map((reason) => `<br>${escapeXml(reason)}`).join("");
    return `<p class="box"><strong>The generator was saturated.</strong> These latencies are partly its own.${lines}</p>`;
  }
  return `<p>The generator kept its schedule: 99 % of it ran at most ${scheduleLagMs.p99} ms late, and its busiest process was busy ${utilisation} of the time.</p>`;
}

function thresholdsOf({ thresholds }: FleetResult): string {
  if (thresholds.length === 0) return "";
  const rows = thresholds.map(({ expression, value, ok }) => {
    const word = ok ? '<span class="good">kept</span>' : '<span class="bad">broken</span>';
    return `<tr><td><code>${escapeXml(expression)}</code></td><td class="number">${value}</td><td>${word}</td></tr>`;
  });
  return `<h2>Thresholds</h2><table>${rows.join("")}</table>`;
}

function plotsOf(moments: readonly Moment[]): Plot[] {
  const seconds = moments.map((moment) => moment.second);
  const line = (name: string, pick: (moment: Moment) => number | null): Series => ({
    name,
    values: moments.map(pick),
  });
  const latency = (name: string, pick: (moment: Moment) => number) =>
    line(name, (moment) => (moment.ackMs.count === 0 ? null : pick(moment)));
  const plots: Plot[] = [
    {
      ...{ title: "PUBACK latency", unit: "ms, of the deltas acknowledged in that second" },
      ...{ seconds, log: true },
      series: [
        latency("p50", ({ ackMs }) => ackMs.p50),
        latency("p90", ({ ackMs }) => ackMs.p90),
        latency("p99", ({ ackMs }) => ackMs.p99),
        latency("max", ({ ackMs }) => ackMs.max),
      ],
    },
    {
      ...{ title: "Throughput", unit: "deltas per second", seconds },
      series: [
        line("offered", ({ offered }) => offered),
        line("acknowledged", ({ acked }) => acked),
      ],
    },
    {
      ...{ title: "Devices", unit: "connected", seconds },
      series: [line("connected", ({ connected }) => connected)],
    },
    {
      ...{ title: "Waiting", unit: "deltas due and not acknowledged", seconds },
      series: [line("waiting", ({ waiting }) => waiting)],
    },
    { title: "Devices per version", unit: "devices", seconds, series: versionSeries(moments) },
  ];
  if (moments.some(({ queueDepth }) => queueDepth !== null)) {
    const series = [line("queue", ({ queueDepth }) => queueDepth)];
    plots.push({ title: "Queue depth", unit: "jobs", seconds, series });
  }
  return plots;
}

function versionSeries(moments: readonly Moment[]): Series[] {
  const all = new Set(moments.flatMap(({ versions }) => versions.map(([version]) => version)));
  const newest = [...all].sort((a, b) => b - a).slice(0, VERSIONS_MAX);
  const own = newest.map((version) => ({
    name: version === 0 ? "none yet" : `version ${version}`,
    values: moments.map(({ versions }) => versions.find(([held]) => held === version)?.[1] ?? 0),
  }));
  if (all.size <= newest.length) return own;
  const older = (moment: Moment) =>
    moment.versions.reduce((sum, [held, count]) => sum + (newest.includes(held) ? 0 : count), 0);
  return [...own, { name: "older", values: moments.map(older) }];
}

function metricsOf({ metrics }: FleetResult): string {
  const names = Object.keys(METRIC_HELP) as MetricName[];
  const rows = names.map((name) => {
    return `<tr><td><code>${name}</code></td><td class="number">${metrics[name]}</td><td>${escapeXml(METRIC_HELP[name])}</td></tr>`;
  });
  return `<table>${rows.join("")}</table>`;
}

function countsOf({ counts, tlsResumed }: FleetResult): string {
  const rows = Object.entries({ ...counts, tlsResumed }).map(
    ([name, value]) => `<tr><td><code>${name}</code></td><td class="number">${value}</td></tr>`,
  );
  return `<h2>Counts</h2><table>${rows.join("")}</table>`;
}

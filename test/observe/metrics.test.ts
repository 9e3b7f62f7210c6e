import { expect, test } from "vitest";
import { createMetrics, noMetrics } from "../../src/observe/index.ts";

test("metrics: every kind renders as Prometheus text", async () => {
  const metrics = createMetrics();
  metrics.counter("omega_gateway_refused_total", "Refusals.", ["reason"]).add(2, { reason: "acl" });
  metrics.gauge("omega_gateway_clients_count", "Connected devices.").set(5);
  metrics.gauge("omega_gateway_clients_count", "Connected devices.").add(-1);
  metrics.histogram("omega_gateway_ack_seconds", "Time to PUBACK.", [0.01, 0.1]).observe(0.05);
  expect(metrics.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await metrics.render()).toBe(
    [
      "# HELP omega_gateway_refused_total Refusals.",
      "# TYPE omega_gateway_refused_total counter",
      'omega_gateway_refused_total{reason="acl"} 2',
      "",
      "# HELP omega_gateway_clients_count Connected devices.",
      "# TYPE omega_gateway_clients_count gauge",
      "omega_gateway_clients_count 4",
      "",
      "# HELP omega_gateway_ack_seconds Time to PUBACK.",
      "# TYPE omega_gateway_ack_seconds histogram",
      'omega_gateway_ack_seconds_bucket{le="0.01"} 0',
      'omega_gateway_ack_seconds_bucket{le="0.1"} 1',
      'omega_gateway_ack_seconds_bucket{le="+Inf"} 1',
      "omega_gateway_ack_seconds_sum 0.05",
      "omega_gateway_ack_seconds_count 1",
      "",
    ].join("\n"),
  );
});

test("metrics: two registries in one process share nothing", async () => {
  const one = createMetrics();
  const two = createMetrics();
  one.counter("omega_queue_added_total", "Added.").add();
  two.counter("omega_queue_added_total", "Added.").add(7);
  expect(await one.render()).toContain("omega_queue_added_total 1");
  expect(await two.render()).toContain("omega_queue_added_total 7");
});

test("metrics: one name is one shape", () => {
  const metrics = createMetrics();
  metrics.counter("omega_queue_added_total", "Added.");
  expect(() => metrics.gauge("omega_queue_added_total", "Added.")).toThrow(/already a counter/);
  expect(() => metrics.counter("omega_queue_added_total", "Added.", ["x"])).toThrow(/already/);
  expect(() => metrics.counter("queueAdded", "Added.")).toThrow(/named omega_/);
});

test("metrics: process metrics are there when asked for", async () => {
  const metrics = createMetrics({ processMetrics: true });
  expect(await metrics.render()).toContain("process_resident_memory_bytes");
});

test("metrics: no-op metrics render nothing", async () => {
  noMetrics.counter("omega_a_b_total", "x").add();
  noMetrics.gauge("omega_a_b_count", "x").set(1);
  noMetrics.gauge("omega_a_b_count", "x").add(1);
  noMetrics.histogram("omega_a_b_seconds", "x", [1]).observe(1);
  expect(await noMetrics.render()).toBe("");
});

test("metrics: what is read when it is rendered adds up over those who ask", async () => {
  const metrics = createMetrics();
  const counts = { delta: 2 };
  let bytes = 5;
  metrics.readCounter("omega_gateway_frames_total", "Frames.", "kind", () => counts);
  metrics.readCounter("omega_gateway_frames_total", "Frames.", "kind", () => ({ pull: 1 }));
  metrics.readGauge("omega_gateway_in_flight_bytes", "Bytes.", () => bytes);
  metrics.readGauge("omega_gateway_in_flight_bytes", "Bytes.", () => 100);
  await metrics.render();
  counts.delta = 3;
  bytes = 0;
  const text = await metrics.render();
  expect(text).toContain('omega_gateway_frames_total{kind="delta"} 3');
  expect(text).toContain('omega_gateway_frames_total{kind="pull"} 1');
  expect(text).toContain("omega_gateway_in_flight_bytes 100");
});

test("metrics: the process' own series tell the event loop's delay and list no handle one by one", async () => {
  const page = await createMetrics({ processMetrics: true }).render();
  expect(page).toContain("nodejs_eventloop_lag_max_seconds");
  expect(page).toContain("process_resident_memory_bytes");
  expect(page).not.toMatch(/open_fds|active_handles|active_resources/);
});

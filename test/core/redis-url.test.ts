import { expect, test } from "vitest";
import { parseRedisClusterUrl } from "../../src/core/index.ts";

test("a cluster's URL: nodes and login, or null", () => {
  expect(parseRedisClusterUrl("redis+cluster://a:7000,10.0.0.2:7001")).toEqual({
    nodes: [
      { host: "a", port: 7000 },
      { host: "10.0.0.2", port: 7001 },
    ],
    login: {},
  });
  expect(parseRedisClusterUrl("redis+cluster://omega:p%40ss@a:7000")).toEqual({
    nodes: [{ host: "a", port: 7000 }],
    login: { username: "omega", password: "p@ss" },
  });
  const wrong = ["redis://a:7000", "redis+cluster://", "redis+cluster://a", "redis+cluster://a:0"];
  wrong.push("redis+cluster://a:70000", "redis+cluster://a:1,,b:2", "redis+cluster://u:%zz@a:1");
  for (const url of wrong) expect(parseRedisClusterUrl(url)).toBe(null);
});

import { expect, test } from "vitest";
import { readRedisAddress } from "../../src/redis/address.ts";

test("one server's URL stays as it is", () => {
  for (const url of ["redis://a:7000", "rediss://u:p@a:7000/2"]) {
    expect(readRedisAddress(url)).toEqual({ kind: "server", url });
  }
  expect(readRedisAddress("postgres://a")).toBe(null);
  expect(readRedisAddress("redis+other://a:1")).toBe(null);
});

test("a cluster's URL: nodes and login, or what is wrong with it", () => {
  expect(readRedisAddress("redis+cluster://a:7000,10.0.0.2:7001")).toEqual({
    kind: "cluster",
    tls: false,
    nodes: [
      { host: "a", port: 7000 },
      { host: "10.0.0.2", port: 7001 },
    ],
    login: {},
  });
  expect(readRedisAddress("redis+cluster://omega:p%40ss@a:7000/")).toEqual({
    kind: "cluster",
    tls: false,
    nodes: [{ host: "a", port: 7000 }],
    login: { username: "omega", password: "p@ss" },
  });
  expect(readRedisAddress("rediss+cluster://a:7000")).toMatchObject({ kind: "cluster", tls: true });
});

test("a Sentinels' URL: Sentinels, master's name and logins", () => {
  expect(readRedisAddress("redis+sentinel://omega:p%40ss@a:26379,b:26380/my-master")).toEqual({
    kind: "sentinel",
    tls: false,
    sentinels: [
      { host: "a", port: 26379 },
      { host: "b", port: 26380 },
    ],
    master: "my-master",
    login: { username: "omega", password: "p@ss" },
    sentinelLogin: {},
  });
  expect(readRedisAddress("rediss+sentinel://a:26379/m")).toMatchObject({
    ...{ kind: "sentinel", tls: true },
  });
  const own = "redis+sentinel://a:26379/m?sentinelUsername=watch&sentinelPassword=s%26t";
  expect(readRedisAddress(own)).toMatchObject({
    login: {},
    sentinelLogin: { username: "watch", password: "s&t" },
  });
});

test.each([
  ["redis+cluster://", 'got ""'],
  ["redis+cluster://a", 'got "a"'],
  ["redis+cluster://u:hidden@a:0", 'got "a:0"'],
  ["redis+cluster://a:70000", 'got "a:70000"'],
  ["redis+cluster://a:1,,b:2", 'got ""'],
  ["redis+cluster://a:1/3", "no databases in a cluster"],
  ["redis+cluster://u:%zzhidden@a:1", "percent-encoded"],
  ["redis+sentinel://u:hidden@a:26379", "redis+sentinel://a:26379/mymaster"],
  ["redis+sentinel://a:26379/", 'got ""'],
  ["redis+sentinel://a:26379/m m", 'got "m m"'],
  ["redis+sentinel://a:26379,b/m", 'got "b"'],
  ["redis+sentinel://a:26379/m?db=2", 'got "db"'],
  ["redis+sentinel://a:26379/m#x", "must end after"],
])("%s is refused with the part that is wrong, and without credentials", (url, mention) => {
  const fault = readRedisAddress(url);
  expect(fault).toEqual(expect.stringContaining(mention));
  expect(fault).not.toContain("hidden");
});

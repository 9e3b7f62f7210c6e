import { describe, expect, test } from "vitest";
import { maySubscribe, publishRefusal, topicsOf } from "../../gateway/acl.ts";
import { Admission } from "../../gateway/admission.ts";
import { keyOfSubject } from "../../gateway/certificate.ts";
import { type ConnectRequest, connackBytes, judgeConnect } from "../../gateway/connect.ts";
import { gatewayLimits, TokenBucket } from "../../gateway/limits.ts";
import type { InvalidConfigError } from "../../src/core/index.ts";
import { manualClock } from "../support/manual-clock.ts";

const RULES = { keepaliveSMin: 5, keepaliveSMax: 3_600, usernameRequired: true };
const GOOD: ConnectRequest = {
  clientId: "tv1",
  username: "acme/tv1",
  keepaliveS: 300,
  hasWill: false,
  certificate: null,
};

describe("judging a CONNECT", () => {
  test("the user name names the tenant, or the tenant is default", () => {
    expect(judgeConnect(GOOD, RULES)).toEqual({ ok: true, key: { tenant: "acme", device: "tv1" } });
    expect(judgeConnect({ ...GOOD, username: "tv1" }, RULES)).toEqual({
      ok: true,
      key: { tenant: "default", device: "tv1" },
    });
  });

  test.each<[Partial<ConnectRequest>, number, string]>([
    [{ clientId: "" }, 2, "connect.clientid"],
    [{ clientId: "a/b" }, 2, "connect.clientid"],
    [{ hasWill: true }, 5, "connect.will"],
    [{ keepaliveS: 0 }, 5, "connect.keepalive"],
    [{ keepaliveS: 65_535 }, 5, "connect.keepalive"],
    [{ username: null }, 4, "connect.username"],
    [{ username: "" }, 4, "connect.username"],
    [{ username: "acme/" }, 4, "connect.username"],
    [{ username: "acme/tv1/" }, 4, "connect.username"],
    [{ username: "acme/tv2" }, 5, "connect.identity"],
    [{ certificate: { key: { tenant: "acme", device: "tv2" } } }, 5, "connect.certificate"],
    [{ certificate: { key: { tenant: "default", device: "tv1" } } }, 5, "connect.certificate"],
    [{ certificate: { key: null } }, 5, "connect.certificate.name"],
  ])("%j is answered %i for %s", (change, code, reason) => {
    expect(judgeConnect({ ...GOOD, ...change }, RULES)).toEqual({ ok: false, code, reason });
  });

  test("a certificate that names tenant and device passes", () => {
    const certificate = { key: { tenant: "acme", device: "tv1" } };
    expect(judgeConnect({ ...GOOD, certificate }, RULES).ok).toBe(true);
  });

  test("where the certificate is the credential, it names the device and must be there", () => {
    const rules = { ...RULES, usernameRequired: false, certificateRequired: true };
    const key = { tenant: "acme", device: "tv1" };
    const bare = { ...GOOD, username: null };
    expect(judgeConnect({ ...bare, certificate: { key } }, rules)).toEqual({ ok: true, key });
    expect(judgeConnect(bare, rules)).toEqual({
      ...{ ok: false, code: 5, reason: "connect.certificate.missing" },
    });
    expect(judgeConnect({ ...bare, certificate: { key }, clientId: "tv2" }, rules)).toEqual({
      ...{ ok: false, code: 5, reason: "connect.identity" },
    });
  });

  test.each([
    [{ CN: "tv1" }, { tenant: "default", device: "tv1" }],
    [
      { CN: "tv1", OU: "acme" },
      { tenant: "acme", device: "tv1" },
    ],
    [{ CN: "acme/tv1" }, { tenant: "acme", device: "tv1" }],
    [{ CN: "acme/tv1", OU: "acme" }, null],
    [{ CN: "tv1", OU: "TV Division" }, null],
    [{ CN: "tv1", OU: ["acme", "other"] }, null],
    [{ CN: ["tv1", "tv2"] }, null],
    [{ CN: "tv1\0.example" }, null],
    [{ CN: "" }, null],
    [{}, null],
  ])("the subject %j names %j", (subject, key) => {
    expect(keyOfSubject(subject)).toEqual(key);
  });

  test("a refusal is four bytes", () => {
    expect([...connackBytes(5)]).toEqual([0x20, 2, 0, 5]);
  });
});

describe("what a device may do", () => {
  const topics = topicsOf({ tenant: "acme", device: "tv1" });
  const request = { topic: topics.up, qos: 1, retain: false, messageId: 1 };

  test("publish its own deltas with QoS 1, unretained, and nothing else", () => {
    expect(publishRefusal(topics, request)).toBeNull();
    expect(publishRefusal(topics, { ...request, topic: topics.down })).toBe("publish.topic");
    expect(publishRefusal(topics, { ...request, qos: 0 })).toBe("publish.qos");
    expect(publishRefusal(topics, { ...request, qos: 2 })).toBe("publish.qos");
    expect(publishRefusal(topics, { ...request, retain: true })).toBe("publish.retain");
    expect(publishRefusal(topics, { ...request, messageId: 0 })).toBe("publish.id");
  });

  test("subscribe to its own answers, and nothing else", () => {
    const none = new Set<string>();
    expect(maySubscribe(topics, topics.down, none)).toBe(true);
    expect(maySubscribe(topics, topics.err, none)).toBe(true);
    expect(maySubscribe(topics, topics.up, none)).toBe(false);
    expect(maySubscribe(topics, "#", none)).toBe(false);
  });

  test("subscribe to the codec models of its own tenant, each by its version", () => {
    const none = new Set<string>();
    for (const version of ["1", "42", "65535"]) {
      expect(maySubscribe(topics, `omega/v1/acme/codec/${version}`, none)).toBe(true);
      expect(maySubscribe(topics, `omega/v1/other/codec/${version}`, none)).toBe(false);
    }
    for (const version of ["", "0", "01", "65536", "+", "#", "1/", "1/+", "-1", "1e0"]) {
      expect(maySubscribe(topics, `omega/v1/acme/codec/${version}`, none), version).toBe(false);
    }
    expect(maySubscribe(topics, "$share/g/omega/v1/acme/codec/1", none)).toBe(false);
  });

  test("P8: hold four codec topics at once, and its own ones all the same", () => {
    const held = new Set([1, 2, 3].map((version) => `omega/v1/acme/codec/${version}`));
    expect(maySubscribe(topics, "omega/v1/acme/codec/4", held)).toBe(true);
    held.add("omega/v1/acme/codec/4");
    expect(maySubscribe(topics, "omega/v1/acme/codec/5", held)).toBe(false);
    expect(maySubscribe(topics, "omega/v1/acme/codec/2", held)).toBe(true);
    expect(maySubscribe(topics, topics.down, held)).toBe(true);
  });
});

describe("limits", () => {
  test("list every fault at once", () => {
    const bad = { inFlightCountMax: 0, keepaliveSMin: 10, keepaliveSMax: 9, inFlightBytesMax: 1 };
    try {
      gatewayLimits({ ...bad, connects: { ratePerS: Number.NaN, burst: 1 } });
      expect.unreachable();
    } catch (error) {
      expect((error as InvalidConfigError).faults).toHaveLength(4);
    }
  });

  test("a token bucket gives its burst at once and then its rate", async () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 2, burst: 3 }, clock);
    expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([true, true, true, false]);
    await clock.advance(500);
    expect([bucket.take(), bucket.take()]).toEqual([true, false]);
    await clock.advance(60_000);
    expect(bucket.available()).toBe(3);
  });
});

describe("admission", () => {
  const setUp = (pressure = 0) => {
    const clock = manualClock();
    const limits = gatewayLimits({
      connects: { ratePerS: 1, burst: 2 },
      failedLoginsPerAddress: { ratePerS: 1, burst: 1 },
    });
    return { clock, admission: new Admission({ limits, clock, pressure: () => pressure }) };
  };

  test("refuses beyond the rate, and admits again later", async () => {
    const { admission, clock } = setUp();
    const answers = [1, 2, 3].map(() => admission.refusal("a", false));
    expect(answers).toEqual([null, null, "connect.rate"]);
    await clock.advance(1_000);
    expect(admission.refusal("a", false)).toBeNull();
  });

  test("the next in line waits for a token, and is refused at once where waiting is in vain", async () => {
    const { admission, clock } = setUp();
    const turn = (address = "a") => admission.turn(() => address);
    expect([turn(), turn(), turn()]).toEqual(["due", "due", "wait"]);
    expect(admission.refusal("a", true)).toBeNull();
    admission.failed("bad");
    expect(turn("bad")).toBe("refuse");
    await clock.advance(1_000);
    expect(turn()).toBe("due");
    admission.close();
    expect(turn()).toBe("refuse");
    expect(setUp(8).admission.turn(() => "a")).toBe("refuse");
  });

  test("an address that failed too often costs the others nothing", () => {
    const { admission } = setUp();
    admission.failed("bad");
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(admission.refusal("bad", false)).toBe("connect.failures");
    }
    expect(admission.refusal("good", false)).toBeNull();
  });

  test("refuses under pressure and when closed", () => {
    expect(setUp(8).admission.refusal("a", false)).toBe("connect.pressure");
    expect(setUp(7.9).admission.refusal("a", false)).toBeNull();
    const { admission } = setUp();
    admission.close();
    expect(admission.refusal("a", false)).toBe("connect.draining");
  });

  test("P8: remembers a bounded number of addresses", () => {
    const { admission } = setUp();
    admission.failed("first");
    for (let index = 0; index < 10_000; index += 1) admission.failed(`10.0.${index}`);
    expect(admission.refusal("first", false)).toBeNull();
    expect(admission.refusal("10.0.9999", false)).toBe("connect.failures");
  });
});

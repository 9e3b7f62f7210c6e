import { describe, expect, test } from "vitest";
import { Admission } from "../../gateway/admission.ts";
import { DEFAULT_GATEWAY_LIMITS } from "../../gateway/limits.ts";
import { manualClock } from "../support/manual-clock.ts";

function admissionWith(pressure: () => number = () => 0) {
  const failedLoginsPerAddress = { ratePerS: 0.001, burst: 2 };
  const limits = { ...DEFAULT_GATEWAY_LIMITS, failedLoginsPerAddress };
  return new Admission({ limits, clock: manualClock(), pressure });
}

describe("admission", () => {
  test("THREATS 2: however often an address fails, it is refused and no other is", () => {
    const admission = admissionWith();
    for (let attempt = 0; attempt < 100_000; attempt += 1) admission.failed("10.0.0.1");
    expect(admission.turn(() => "10.0.0.1")).toBe("refuse");
    expect(admission.refusal("10.0.0.1", true)).toBe("connect.failures");
    expect(admission.turn(() => "10.0.0.2")).toBe("due");
    expect(admission.refusal("10.0.0.2", true)).toBeNull();
  });

  test("P8: a bounded number of addresses is remembered, those of longest ago are forgotten", () => {
    const admission = admissionWith();
    const fail = (address: string) => {
      for (let attempt = 0; attempt < 3; attempt += 1) admission.failed(address);
    };
    fail("first");
    fail("second");
    for (let other = 0; other < 9_999; other += 1) fail(`10.0.${other >> 8}.${other & 255}`);
    expect(admission.turn(() => "first")).toBe("due");
    expect(admission.turn(() => "second")).toBe("refuse");
    expect(admission.turn(() => "10.0.0.0")).toBe("refuse");
  });
});

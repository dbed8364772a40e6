import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { consequences } from "../../../infra/fabric/consequences.js";
import {
  describeLease,
  fabricTime,
  isRenewalDue,
  leaseFrom,
  leaseHours,
  leaseLine,
  leaseProblems,
  parseFabricTime,
  renewWithinHours,
  timeLeft,
} from "../../../infra/fabric/lease.js";
import { checkInputs, diffInputs, type SliceInputs } from "../../../infra/fabric/slice-inputs.js";
import { parseSliceSpec, type SliceSpec } from "../../../infra/fabric/spec.js";
import { paperSlice } from "../../support/paper-slice.js";

const hour = 3_600_000;
const now = new Date("2026-11-22T10:00:00Z");
const inHours = (hours: number) => new Date(now.getTime() + hours * hour);
const leases = fc
  .tuple(fc.integer({ min: 1, max: 4000 }), fc.constantFrom("d", "h"))
  .map(([n, unit]) => `${n}${unit}`);

describe("when a lease is renewed", () => {
  it("three days before its end, or at half of a short one, unless said", () => {
    const hours = ["14d", "26d", "6d", "5d", "2d", "36h", "1h"].map((lease) => renewWithinHours({ lease }));
    expect(hours).toEqual([72, 72, 72, 60, 24, 18, 0.5]);
    expect(renewWithinHours({ lease: "14d", renewWithin: "12h" })).toBe(12);
  });

  it("never at once after it was renewed, and always before its end", () => {
    fc.assert(
      fc.property(leases, fc.option(leases, { nil: undefined }), (lease, renewWithin) => {
        const terms = { lease, renewWithin };
        fc.pre(leaseProblems(terms).length === 0);
        expect(isRenewalDue(terms, leaseFrom(lease, now), now)).toBe(false);
        expect(isRenewalDue(terms, inHours(0), now)).toBe(true);
      }),
    );
  });

  it("is refused where each up would renew", () => {
    expect(leaseProblems({ lease: "3d", renewWithin: "72h" })[0]?.code).toBe("FAB-RENEW-WITHIN");
    expect(leaseProblems({ lease: "3d", renewWithin: "71h" })).toEqual([]);
    const slice = { endpoint: { kind: "fabric" }, owner: { project: "p", stack: "s" }, state: ".state/s" };
    const inputs = { ...slice, ...paperSlice, lease: "3d", renewWithin: "4d" };
    expect(checkInputs(inputs).problems.map((p) => [p.code, p.path])).toEqual([
      ["FAB-RENEW-WITHIN", "renewWithin"],
    ]);
    expect(checkInputs({ ...inputs, renewWithin: "soon" }).problems.map((p) => p.code)).toEqual([
      "FAB-LEASE-INVALID",
    ]);
  });

  it("is a change in the engine's eyes, by the clock and the end that was last seen", () => {
    const inputs: SliceInputs = {
      ...paperSlice,
      endpoint: { kind: "fabric" },
      owner: { project: "p", stack: "s" },
      state: ".state/s",
    };
    const changes = (end: Date, news: SliceInputs = inputs) =>
      diffInputs({ ...inputs, leaseEnd: fabricTime(end) }, news, now).changes;
    expect([changes(inHours(73)), changes(inHours(71)), changes(inHours(-1))]).toEqual([false, true, true]);
    expect(changes(inHours(73), { ...inputs, renewWithin: "2d" })).toBe(true);
    expect(diffInputs({ ...inputs, leaseEnd: "" }, inputs, now).changes).toBe(false);
  });
});

describe("times", () => {
  it("are FABRIC's and back, to the second", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e9 }), (s) => {
        const time = new Date(s * 1000);
        expect(parseFabricTime(fabricTime(time))?.getTime()).toBe(time.getTime());
      }),
    );
    expect(parseFabricTime("2026-12-06 10:00:00 +0130")?.toISOString()).toBe("2026-12-06T08:30:00.000Z");
    expect(["", "tomorrow", "2026-13-06 10:00:00 +0000"].map(parseFabricTime)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(["0d", "1w", "", "12", "99999h"].map(leaseHours)).toEqual(Array(5).fill(undefined));
  });

  it("are told in the unit that people would use, never more than there is", () => {
    expect([313, 48, 47.9, 1, 0.99, 0, -5].map((h) => timeLeft(h * hour))).toEqual([
      "13 days", "2 days", "47 hours", "1 hour", "59 minutes", "0 minutes", "0 minutes",
    ]); // biome-ignore format: one line
    expect(leaseLine(inHours(336), now)).toBe("lease until 2026-12-06 10:00 UTC, 14 days left");
    expect(leaseLine(inHours(0), now)).toBe("the lease has ended (2026-11-22 10:00 UTC)");
  });
});

describe("what a preview says of the lease", () => {
  const say = (before: string, to: string, hoursLeft: number | undefined, renewWithin?: string) =>
    describeLease({ lease: before }, renewWithin === undefined ? { lease: to } : { lease: to, renewWithin }, {
      end: hoursLeft === undefined ? undefined : inHours(hoursLeft),
      now,
    });

  it("until when, and whether it is extended, renewed, or stays", () => {
    expect(say("14d", "14d", 336)).toBe("lease until 2026-12-06");
    expect(say("14d", "14d", 71)).toBe("lease renewed until 2026-12-06");
    expect(say("7d", "14d", 100)).toBe("lease extended until 2026-12-06");
    expect(say("14d", "1d", 100)).toBe("lease until 2026-11-26, which FABRIC cannot shorten");
    expect(say("14d", "14d", 336, "5d")).toBe("lease until 2026-12-06, renewed from 2026-12-01");
    expect(say("14d", "14d", -1)).toBe(
      "the lease ended 2026-11-22, as last seen: up --refresh makes the slice anew",
    );
    expect([say("14d", "7d", undefined), say("14d", "14d", undefined)]).toEqual(["lease 7d from now", ""]);
  });

  it("stands in the Slice's message, alone when nothing else changes", () => {
    const seen = (hours: number) => ({ ...paperSlice, leaseEnd: fabricTime(inHours(hours)) });
    const grown: SliceSpec = parseSliceSpec({
      ...paperSlice,
      nodes: { ...paperSlice.nodes, clientfour: { site: "HAWI" } },
    });
    expect(consequences(seen(336), paperSlice, now)).toBeUndefined();
    expect(consequences(seen(71), paperSlice, now)).toBe("lease renewed until 2026-12-06");
    expect(consequences(seen(336), grown, now)).toBe(
      "+ clientfour and a network at HAWI; routes on 6 nodes; nothing replaced; lease until 2026-12-06",
    );
    expect(consequences({ ...seen(336), sliceState: "StableError" }, paperSlice, now)).toBe(
      "what is not up yet is completed; lease until 2026-12-06",
    );
  });
});

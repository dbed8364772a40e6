import { describe, expect, it } from "vitest";
import { watchLeases } from "../../../../dynamos/cli/lease-watch.js";
import { renewLine } from "../../../../dynamos/cli/renew.js";
import { slicesTable, whose } from "../../../../dynamos/cli/slices.js";
import { agreed, whatGoes } from "../../../../dynamos/cli/slices-delete.js";
import { nearEnds, outlivesLease } from "../../../../dynamos/lease-warning.js";
import type { ListedSlice } from "../../../../infra/fabric/slice-list.js";
import { InfraError } from "../../../../infra/problem.js";

const hour = 3_600_000;
const now = new Date("2026-11-22T10:00:00Z");
const inHours = (h: number) => new Date(now.getTime() + h * hour);
const leased = (h?: number, name = "vfl") => (h === undefined ? { name } : { name, leaseEnd: inHours(h) });

describe("a warning that work outlives a lease", () => {
  it("names the lease that ends first, and is none when the work is done by then", () => {
    const slices = [leased(undefined, "unknown"), leased(30), leased(20, "first")];
    expect(outlivesLease("the job", slices, 19 * hour, now)).toBeUndefined();
    expect(outlivesLease("the job", slices, 20 * hour, now)).toBe(
      "warning: the job takes about 20 hours more and the lease of slice first ends in 20 hours (2026-11-23 06:00 UTC); dynamos-fabric renew --now extends it",
    );
    expect(outlivesLease("the job", [leased(-1)], 0, now)).toMatch(/ended 2026-11-22 09:00 UTC/);
    expect(outlivesLease("the job", [leased()], 1000 * hour, now)).toBeUndefined();
  });

  it("comes once, as soon as the measured rounds tell", () => {
    let clock = now.getTime();
    const warned: string[] = [];
    const round = watchLeases([leased(1)], 100, { warn: (line) => warned.push(line), clock: () => clock });
    const steps = [40_000, 80_000, 90_000, 100_000, 4_000_000];
    const counts = steps.map((ms, i) => {
      clock = now.getTime() + ms;
      round(i + 1);
      return warned.length;
    });
    // 97 more at 30 s each end before the hour is over only if each takes less than 36 s; the fifth shows 800 s each.
    expect(counts).toEqual([0, 0, 0, 0, 1]);
    round(6);
    expect(warned).toHaveLength(1);
  });

  it("comes at the beginning when the lease is over already, and not at the end of the work", () => {
    const warned: string[] = [];
    const options = { warn: (line: string) => void warned.push(line), clock: () => now.getTime() };
    watchLeases([leased(-1)], 1, options);
    expect(warned).toHaveLength(1);
    watchLeases([leased(0.001)], 3, options)(3);
    expect(warned).toHaveLength(1);
  });
});

describe("a warning that a lease is near its end", () => {
  it("comes from 48 hours before", () => {
    expect(nearEnds([leased(49), leased()], now)).toEqual([]);
    expect(nearEnds([leased(47.5), leased(-2, "old")], now)).toEqual([
      "warning: the lease of slice old ended 2026-11-22 08:00 UTC and its machines are gone with it; dynamos-fabric up --refresh makes them anew",
      "warning: the lease of slice vfl ends in 47 hours (2026-11-24 09:30 UTC), and its machines with it; dynamos-fabric renew --now extends it",
    ]);
  });
});

const mark = { project: "demo", stack: "dev", id: "m1" };
const slice: ListedSlice = {
  ...{ id: "1", name: "demo-dev", state: "StableOK", nodes: ["aa at AMST"], mark },
  ...{ leaseStart: inHours(-30), leaseEnd: inHours(60), owner: "ada@uva.nl" },
};
const own = new Set(["m1"]);

describe("slices", () => {
  it("are listed in columns, this stack's first", () => {
    const others: ListedSlice[] = [
      { id: "3", name: "a-longer-name", state: "Configuring" },
      { ...slice, id: "2", name: "x", mark: { ...mark, id: "m2" }, leaseEnd: inHours(-1) },
    ];
    expect(slicesTable([...others, slice], own, now)).toMatchInlineSnapshot(`
      "slice          mark         stack     state        age       lease        owner       id
      demo-dev       this stack   demo/dev  StableOK     30 hours  2 days left  ada@uva.nl   1
      x              other stack  demo/dev  StableOK     30 hours  ended        ada@uva.nl   2
      a-longer-name  no mark      -         Configuring  -         -            -            3
      "
    `);
    expect(slicesTable([], own, now)).toBe("no slices\n");
    expect([slice, ...others].map((s) => whose(s, own))).toEqual(["this stack", "no mark", "other stack"]);
  });

  it("are shown before they are deleted, with what goes and whose they are", () => {
    const ours = { name: "demo-dev", mark, endpoint: { kind: "fabric" as const } };
    expect(whatGoes(slice, ours, "dev", now).join("\n")).toContain("aa at AMST");
    expect(whatGoes(slice, undefined, "dev", now).join("\n")).toContain("NOT of this stack but of demo/dev");
    const { mark: _, ...unmarked } = slice;
    expect(whatGoes(unmarked, undefined, "dev", now).join("\n")).toContain("bears no mark");
  });

  it("are deleted after a yes, foreign ones only after their name or --foreign", async () => {
    const asked: string[] = [];
    const answers = (text: string | undefined) => async (question: string) => {
      asked.push(question);
      return text;
    };
    const may = (ours: boolean, text: string | undefined, options = {}) =>
      agreed(slice, ours, options, answers(text));
    expect(
      await Promise.all([may(true, "y"), may(true, "Yes"), may(true, ""), may(true, "demo-dev")]),
    ).toEqual([true, true, false, false]);
    expect(await Promise.all([may(false, "y"), may(false, "demo-dev")])).toEqual([false, true]);
    expect(asked.at(-1)).toContain("type its name");
    asked.length = 0;
    expect(await may(true, undefined, { yes: true })).toBe(true);
    expect(await may(false, undefined, { yes: true, foreign: true })).toBe(true);
    expect(asked).toEqual([]);
    const code = async (work: Promise<unknown>) =>
      await work.then(
        () => "no error",
        (error: unknown) => (error instanceof InfraError ? error.code : String(error)),
      );
    expect(await code(may(false, "demo-dev", { yes: true }))).toBe("FAB-NOT-OURS");
    expect(await code(may(true, undefined))).toBe("FAB-DELETE-UNASKED");
    expect(await code(may(false, undefined, { foreign: true }))).toBe("FAB-DELETE-UNASKED");
  });
});

describe("renew", () => {
  it("says in a line what it did", () => {
    const result = { name: "vfl", id: "1", leaseEnd: inHours(336).toISOString(), notes: [] };
    expect(renewLine({ ...result, renewed: true }, now)).toBe(
      "slice vfl · renewed · lease until 2026-12-06 10:00 UTC, 14 days left",
    );
    expect(renewLine({ ...result, renewed: false, notes: ["FABRIC cut it"] }, now)).toMatch(
      /· nothing to do · .* · FABRIC cut it$/,
    );
  });
});

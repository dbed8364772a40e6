import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { matches, strikeCall } from "../../../infra/fabric/emulator/faults.js";
import { nextChange, planHosts } from "../../../infra/fabric/emulator/hosts-plan.js";
import type { FaultCounts } from "../../../infra/fabric/emulator/model.js";
import { sliverBodies } from "../../../infra/fabric/emulator/render.js";
import { parseScenario, type ScenarioInput } from "../../../infra/fabric/emulator/scenario.js";
import { InfraError } from "../../../infra/problem.js";
import { fabnetSlice, joined } from "./graphs.js";
import { start, World } from "./world.js";

const world = (scenario: ScenarioInput) => new World(parseScenario(scenario));
const states = (w: World, id: string) => sliverBodies(w.slice(id), w.now).map((s) => s.state);
const names = ["create", "slice", "slices", "modify"] as const;

/** Which of these calls are struck, and the counts at the end. */
function run(scenario: ScenarioInput, calls: readonly (typeof names)[number][], counts: FaultCounts = {}) {
  const parsed = parseScenario(scenario);
  let now = counts;
  const struck = calls.map((name) => {
    const result = strikeCall(parsed, now, { name });
    now = result.counts;
    return result.name;
  });
  return { struck, counts: now };
}

describe("faults of calls", () => {
  it("strike after so many, so often, the first in the list", () => {
    const drop = { kind: "drop" } as const;
    const { struck, counts } = run(
      {
        faults: [
          { name: "late", calls: "create", skip: 2, times: 1, fault: drop },
          { name: "any", calls: ["writes"], times: 2, fault: drop },
        ],
      },
      ["slice", "create", "create", "create", "modify", "create"],
    );
    expect(struck).toEqual([undefined, "any", "any", "late", undefined, undefined]);
    expect(counts).toEqual({ late: { seen: 4, struck: 1 }, any: { seen: 5, struck: 2 } });
  });

  it("are the same for the same seed and calls, whenever the emulator was restarted between", () => {
    const call = fc.constantFrom(...names);
    fc.assert(
      fc.property(fc.nat(), fc.array(call, { maxLength: 40 }), fc.nat(40), (seed, calls, cut) => {
        const scenario: ScenarioInput = {
          seed,
          faults: [
            { calls: "reads", probability: 0.4, fault: { kind: "half-json" } },
            { calls: "*", probability: 0.3, times: 5, fault: { kind: "drop" } },
          ],
        };
        const whole = run(scenario, calls);
        const first = run(scenario, calls.slice(0, cut));
        const saved = JSON.parse(JSON.stringify(first.counts)) as FaultCounts;
        const second = run(scenario, calls.slice(cut), saved);
        expect([...first.struck, ...second.struck]).toEqual(whole.struck);
        expect(second.counts).toEqual(whole.counts);
      }),
    );
  });

  it("strike about as often as their probability says, and not the same calls for another seed", () => {
    const at = (seed: number) =>
      run(
        { seed, faults: [{ calls: "slice", probability: 0.25, fault: { kind: "drop" } }] },
        Array.from({ length: 2000 }, () => "slice" as const),
      ).struck.map((s) => s !== undefined);
    const share = at(1).filter(Boolean).length / 2000;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.3);
    expect(at(1)).not.toEqual(at(2));
  });

  it("are chosen by a slice's name", () => {
    const scenario = parseScenario({ faults: [{ calls: "modify", slice: "a", fault: { kind: "drop" } }] });
    expect(strikeCall(scenario, {}, { name: "modify", slice: "b" }).fault).toBeUndefined();
    expect(strikeCall(scenario, {}, { name: "modify", slice: "a" }).fault).toEqual({
      kind: "drop",
      when: "before",
    });
  });

  it("are refused with their place when they are written wrongly", () => {
    const fault = (input: unknown) => {
      try {
        parseScenario(input);
      } catch (error) {
        return error instanceof InfraError ? error.problems.map((p) => [p.code, p.path]) : String(error);
      }
      return "taken";
    };
    expect(fault({ faults: [{ calls: "creates", fault: { kind: "drop" } }] })).toEqual([
      ["FAB-EMU-SCENARIO", "faults.0.calls"],
    ]);
    expect(fault({ faults: [{ calls: "create", fault: { kind: "explode" } }] })).toEqual([
      ["FAB-EMU-SCENARIO", "faults.0.fault.kind"],
    ]);
    const one = { name: "x", calls: "create", fault: { kind: "drop" } };
    expect(fault({ faults: [one, one] })).toEqual([["FAB-EMU-SCENARIO", "faults"]]);
  });
});

describe("the scenario that docs/fabric.md shows", () => {
  it("is one", () => {
    const page = readFileSync(join(__dirname, "../../../docs/fabric.md"), "utf8");
    const shown = /```yaml\n(seed:[^`]*)```/.exec(page)?.[1] ?? "";
    const { seed, faults, sliverFaults } = parseScenario(parse(shown));
    expect([seed, faults.length, sliverFaults.length]).toEqual([7, 3, 2]);
  });
});

describe("a name's pattern", () => {
  it("is as a regular expression of its parts would match", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    fc.assert(
      fc.property(text, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }), (pattern, value) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(value);
        expect(matches(pattern, value)).toBe(expected);
      }),
    );
  });
});

describe("faults of slivers", () => {
  const two = fabnetSlice([{ name: "one", site: "AMST" }, { name: "two", site: "LOSA" }]); // biome-ignore format: one line

  it("refuse at the broker or lose at the site, with their network; the next try comes up", () => {
    const w = world({
      sliverFaults: [{ element: "o*", type: "VM", site: "AMST", times: 1, fault: { kind: "fail", text: "no {name}" } }],
    }); // biome-ignore format: one line
    const id = w.create("a", two);
    expect(states(w.wait(60), id)).toEqual(["Ticketed", "Ticketed", "Ticketed", "Ticketed"]);
    expect(w.wait().stateOf(id)).toBe("StableError");
    const bodies = sliverBodies(w.slice(id), w.now);
    expect(bodies.map((s) => s.state)).toEqual(["Failed", "Active", "Failed", "Active"]);
    expect(bodies[0]?.notice).toMatch(/err=no one$/);
    expect(bodies[2]?.notice).toMatch(/redeem predecessor reservation# id-1 is in a terminal state/);
    w.delete(id);
    const again = w.wait().create("b", two);
    expect(w.wait().stateOf(again)).toBe("StableOK");
  });

  it("hold what they take until they are lost", () => {
    const w = world({
      sites: { AMST: { workers: [{ cores: 2, ram: 64, disk: 500, components: { "SharedNIC-ConnectX-6": 9 } }] } },
      sliverFaults: [{ slice: "a", type: "VM", fault: { kind: "fail", text: "gone" } }],
    }); // biome-ignore format: one line
    const one = fabnetSlice([{ name: "one", site: "AMST", cores: 2 }]);
    w.create("a", one);
    const early = w.create("b", one);
    expect(sliverBodies(w.slice(early), w.wait().now)[0]?.notice).toContain("Insufficient resources");
    expect(w.wait().stateOf(w.create("c", one))).toBe("Nascent");
    expect(planHosts(w.wait().state, w.now).hosts.map((h) => h.sliceName)).toEqual(["c"]);
  });

  it("make them slow, and their slice can be neither changed nor deleted meanwhile", () => {
    const w = world({ sliverFaults: [{ type: "FABNetv4", times: 1, fault: { kind: "slow", ms: 60_000 } }] });
    const id = w.create("a", two);
    expect(w.wait().stateOf(id)).toBe("Configuring");
    expect(w.delete(id)).toEqual([id]);
    expect(w.wait(60_000).stateOf(id)).toBe("StableOK");
  });

  it("let one die that was up", () => {
    const w = world({
      sliverFaults: [{ element: "two", fault: { kind: "die", ms: 5000, text: "{name} died" } }],
    });
    const id = w.create("a", two);
    expect(w.wait(1000).stateOf(id)).toBe("StableOK");
    expect(planHosts(w.state, w.now).hosts).toHaveLength(2);
    const next = nextChange(w.state, w.now) ?? 0;
    w.wait(next - w.now);
    expect(planHosts(w.state, w.now).hosts).toHaveLength(1);
    expect(w.stateOf(id)).toBe("StableError");
    expect(states(w, id)).toEqual(["Active", "Failed", "Active", "Active"]);
  });

  it("spoil a change and leave the sliver as it was; accepting drops what it asked for", () => {
    const w = world({
      sliverFaults: [{ element: "one", times: 1, fault: { kind: "fail", at: "modify", text: "no card" } }],
    });
    const id = w.create("a", two);
    const wanted = fabnetSlice([{ name: "one", site: "AMST", components: ["GPU-A30"] }, { name: "two", site: "LOSA" }]); // biome-ignore format: one line
    w.wait().modify(id, joined(w.graphOf(id), wanted));
    expect(w.wait().stateOf(id)).toBe("ModifyError");
    expect(states(w, id)).toEqual(["Active", "Active", "Active", "Active"]);
    w.accept(id);
    expect(w.graphOf(id).nodes.map((n) => n.props.Name)).not.toContain("one-c0");
  });

  it("are told by the moments they change at: nothing happens between", () => {
    const fault = fc.oneof(
      fc.record({ kind: fc.constant("slow" as const), ms: fc.nat(2000) }),
      fc.record({ kind: fc.constant("die" as const), ms: fc.nat(2000) }),
      fc.record({
        kind: fc.constant("fail" as const),
        at: fc.constantFrom("ticket" as const, "redeem" as const),
      }),
    );
    fc.assert(
      fc.property(fault, fc.nat(4000), fc.nat(4000), (f, a, b) => {
        const w = world({ sliverFaults: [{ element: "one", fault: f }] });
        w.create("a", two);
        const [from, to] = a < b ? [start + a, start + b] : [start + b, start + a];
        const next = nextChange(w.state, from) ?? Number.POSITIVE_INFINITY;
        fc.pre(next > to);
        const ids = (at: number) => planHosts(w.state, at).hosts.map((h) => h.id);
        expect(ids(to)).toEqual(ids(from));
      }),
      { numRuns: 60 },
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ApiError } from "../../../infra/fabric/emulator/api-error.js";
import { freeCapacity } from "../../../infra/fabric/emulator/capacity.js";
import type { EmulatorState } from "../../../infra/fabric/emulator/model.js";
import { renderGraph, sliceBody, sliverBodies } from "../../../infra/fabric/emulator/render.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import {
  holdsCapacity,
  sliceState,
  sliceStates,
  sliverState,
} from "../../../infra/fabric/emulator/states.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fabnetSlice, joined, type TestNode } from "./graphs.js";
import { World } from "./world.js";

// small sites, so that they fill up
const scenario = parseScenario({
  sites: {
    AMST: {
      workers: [{ cores: 8, ram: 64, disk: 1000, components: { "SharedNIC-ConnectX-6": 3, "GPU-A30": 1 } }],
    },
    LOSA: {
      workers: [
        { cores: 16, ram: 32, disk: 400, components: { "SharedNIC-ConnectX-6": 2 } },
        { cores: 4, ram: 32, disk: 400, components: { "SharedNIC-ConnectX-6": 2, "GPU-A30": 2 } },
      ],
    },
  },
});

const trouble = fc.array(
  fc.record({
    type: fc.constantFrom("VM", "FABNetv4"),
    site: fc.constantFrom("AMST", "LOSA"),
    probability: fc.constantFrom(0.2, 0.5, 1),
    fault: fc.oneof(
      fc.record({
        kind: fc.constant("fail" as const),
        at: fc.constantFrom("ticket" as const, "redeem" as const, "modify" as const),
      }),
      fc.record({ kind: fc.constant("slow" as const), ms: fc.constantFrom(100, 5000) }),
      fc.record({ kind: fc.constant("die" as const), ms: fc.constantFrom(0, 1500) }),
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

const places = ["AMST", "AMST", "LOSA", "LOSA", "LOSA", "HAWI"] as const;

const nodeOf = (slice: number) =>
  fc
    .record({
      n: fc.integer({ min: 0, max: places.length - 1 }),
      cores: fc.constantFrom(1, 2, 4, 8),
      ram: fc.constantFrom(2, 8, 16),
      gpus: fc.constantFrom(0, 0, 0, 1, 2),
    })
    .map(({ n, cores, ram, gpus }): TestNode => {
      const components = Array.from({ length: gpus }, () => "GPU-A30");
      return { name: `s${slice}n${n}`, site: places[n] ?? "AMST", cores, ram, components };
    });

const nodesOf = (slice: number) =>
  fc.uniqueArray(nodeOf(slice), { minLength: 1, maxLength: 4, selector: (n) => n.name });

const call = fc.integer({ min: 0, max: 1 }).chain((slice) =>
  fc.record({
    slice: fc.constant(slice),
    do: fc.constantFrom(
      "create",
      "create",
      "modify",
      "modify",
      "modify",
      "accept",
      "accept",
      "renew",
      "delete",
    ),
    nodes: nodesOf(slice),
  }),
);

/** Time, then a call. Mostly enough time for the call before to have done its work. */
const step = fc.record({
  ms: fc.constantFrom(0, 30, 60, 250, 1000, 2000, 2000, 2000, 2000, 2000, 2000, 30 * 3_600_000),
  call,
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(world: World, { ms, call: c }: Step): void {
  world.wait(ms);
  const id = world.state.slices.findLast((x) => x.name === `slice${c.slice}`)?.id;
  try {
    if (c.do === "create") world.create(`slice${c.slice}`, fabnetSlice(c.nodes, `${c.slice}`));
    if (id === undefined) return;
    if (c.do === "modify") world.modify(id, joined(world.graphOf(id), fabnetSlice(c.nodes, `${c.slice}`)));
    if (c.do === "accept") world.accept(id);
    if (c.do === "renew") world.renew(id, world.now + 48 * 3_600_000);
    if (c.do === "delete") world.delete(id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // a refusal changes nothing, anything else is a fault
  }
}

/** What a client would see of everything. */
function seen(state: EmulatorState, now: number): unknown {
  return state.slices.map((s) => [
    sliceBody(s, now, writeGraphml(renderGraph(s, now))),
    sliverBodies(s, now),
  ]);
}

function checkRoom(state: EmulatorState, now: number): void {
  const living = state.slices.flatMap((slice) => slice.slivers.filter((s) => holdsCapacity(s, slice, now)));
  const subnets = living.flatMap((s) => (s.hold.subnet === undefined ? [] : [s.hold.subnet]));
  expect(new Set(subnets).size).toBe(subnets.length);
  const slots = living.flatMap((s) => s.hold.devices.map((d) => `${s.hold.worker} ${d.key} ${d.slot}`));
  expect(new Set(slots).size).toBe(slots.length);
  for (const site of freeCapacity(scenario, state, { now })) {
    for (const w of site.workers) {
      const used = living.filter((s) => s.hold.worker === w.name);
      const sum = (of: (s: (typeof used)[number]) => number) => used.reduce((n, s) => n + of(s), 0);
      for (const [amount, taken] of [
        [w.cores, sum((s) => s.hold.cores)],
        [w.ram, sum((s) => s.hold.ram)],
        [w.disk, sum((s) => s.hold.disk)],
      ] as const) {
        expect(taken).toBeLessThanOrEqual(amount.total);
        expect(amount.free).toBe(amount.total - taken);
      }
      for (const [key, amount] of Object.entries(w.components)) {
        const taken = sum((s) => s.hold.devices.filter((d) => d.key === key).length);
        expect(taken).toBeLessThanOrEqual(amount.total);
        expect(amount.free).toBe(amount.total - taken);
      }
    }
  }
}

function checkAddresses(state: EmulatorState, now: number): void {
  const addresses = state.slices
    .filter((s) => !["Closing", "Dead"].includes(sliceState(s, now)))
    .flatMap((s) => renderGraph(s, now).nodes)
    .filter((n) => n.props.Type === "ServicePort" && n.props.LabelAllocations !== undefined)
    .map((n) => (JSON.parse(n.props.LabelAllocations ?? "{}") as { ipv4?: string }).ipv4);
  expect(addresses.every((a) => a !== undefined)).toBe(true);
  expect(new Set(addresses).size).toBe(addresses.length);
}

const order = {
  slice: [["Nascent"], ["Configuring", "Modifying"], ["AllocatedOK", "AllocatedError"], ["StableOK", "StableError", "ModifyOK", "ModifyError"], ["Closing"], ["Dead"]],
  sliver: [["Nascent"], ["Ticketed"], ["ActiveTicketed"], ["Active"], ["Failed"], ["CloseWait"], ["Closed"]],
}; // biome-ignore format: a table

const rank = (kind: keyof typeof order, state: string) =>
  order[kind].findIndex((names) => names.includes(state));

describe("the emulator's life, any calls in any order", () => {
  it("never gives anything twice, never more than there is", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
        const world = new World(scenario);
        for (const s of steps) {
          take(world, s);
          checkRoom(world.state, world.now);
          checkAddresses(world.state, world.now);
        }
      }),
      { numRuns: 50 },
    );
  }, 60_000);

  it("nor where slivers fail, are slow and die; a restart at any moment goes on the same", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 20 }),
        trouble,
        fc.nat(20),
        (steps, faults, cut) => {
          const troubled = {
            ...scenario,
            sliverFaults: parseScenario({ sliverFaults: faults }).sliverFaults,
          };
          const world = new World(troubled);
          const other = new World(troubled);
          steps.forEach((s, i) => {
            take(world, s);
            take(other, s);
            if (i === cut) other.state = JSON.parse(JSON.stringify(other.state)) as EmulatorState;
            checkRoom(world.state, world.now);
            checkAddresses(world.state, world.now);
          });
          expect(seen(other.state, other.now)).toEqual(seen(world.state, world.now));
        },
      ),
      { numRuns: 50 },
    );
  }, 60_000);

  it("reaches every state in such lives", { timeout: 60_000 }, () => {
    const reached = new Set<string>();
    for (const steps of fc.sample(fc.array(step, { minLength: 10, maxLength: 25 }), {
      numRuns: 150,
      seed: 7,
    })) {
      const world = new World(scenario);
      for (const s of steps) {
        take(world, s);
        for (const slice of world.state.slices) reached.add(sliceState(slice, world.now));
      }
    }
    const advance = ["AllocatedOK", "AllocatedError"]; // only with a start in the future
    expect(sliceStates.filter((s) => !reached.has(s))).toEqual(
      sliceStates.filter((s) => advance.includes(s)),
    );
  });

  it("moves states one way only while nobody calls", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 12 }),
        (steps, waits) => {
          const world = new World(scenario);
          for (const s of steps) take(world, s);
          for (const slice of world.state.slices) {
            let now = world.now;
            let before = -1;
            const slivers = slice.slivers.map(() => -1);
            for (const ms of waits) {
              now += ms;
              const after = rank("slice", sliceState(slice, now));
              expect(after).toBeGreaterThanOrEqual(before);
              before = after;
              slice.slivers.forEach((s, i) => {
                const next = rank("sliver", sliverState(s, slice, now).state);
                expect(next).toBeGreaterThanOrEqual(slivers[i] ?? -1);
                slivers[i] = next;
              });
            }
            // whatever it is doing, it has done it an hour later, and the lease's end ends it
            expect(["Nascent", "Configuring", "Modifying", "Closing"]).not.toContain(
              sliceState(slice, Math.max(now, world.now) + 3_600_000),
            );
            expect(sliceState(slice, slice.leaseEnd + slice.closeMs)).toBe("Dead");
          }
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);

  it("says the same after a restart at any moment", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 600 }),
        (steps, ms) => {
          const world = new World(scenario);
          for (const s of steps) {
            take(world, s);
            const restarted = JSON.parse(JSON.stringify(world.state)) as EmulatorState;
            expect(seen(restarted, world.now + ms)).toEqual(seen(world.state, world.now + ms));
            world.state = restarted;
          }
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);

  it("shows graphs that can be written and read back", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 10 }), (steps) => {
        const world = new World(scenario);
        for (const s of steps) take(world, s);
        for (const slice of world.state.slices) {
          const graph = renderGraph(slice, world.now);
          expect(readGraphml(writeGraphml(graph))).toEqual(graph);
        }
      }),
      { numRuns: 20 },
    );
  }, 60_000);
});

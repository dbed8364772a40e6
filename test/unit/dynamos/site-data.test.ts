import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { emulatedSites } from "../../../dynamos/site-data.js";
import { freeCapacity } from "../../../infra/fabric/emulator/capacity.js";
import { type EmulatorState, emptyState, noHold } from "../../../infra/fabric/emulator/model.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { resourceSummary } from "../../../infra/fabric/emulator/summary.js";
import { markKey } from "../../../infra/fabric/mark.js";
import { sitesInSummary } from "../../../infra/fabric/site-summary.js";
import { productionSites } from "../../../infra/fabric/sites.js";

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "sites-"));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

/** A slice with one node of 60 cores on AMST's first worker, bearing this stack's mark or another's. */
function saveSlice(stack: string): void {
  const at = Date.now() - 60_000;
  const mark = JSON.stringify({ [markKey]: { project: "p", stack, id: "random" } });
  const saved: EmulatorState = {
    ...emptyState,
    slices: [
      {
        id: "s1",
        name: "slice",
        graphId: "g",
        project: { id: "x", name: "x" },
        owner: { id: "u", email: "u@x" },
        sshKeys: [],
        leaseStart: at,
        leaseEnd: at + 86_400_000,
        closeMs: 0,
        operation: { kind: "create", at, begunAt: at },
        graph: {
          nodes: [{ id: "1", props: { NodeID: "n1", Class: "NetworkNode", UserData: mark } }],
          edges: [],
        },
        slivers: [
          {
            id: "v1",
            nodeId: "n1",
            kind: "NodeSliver",
            requestedAt: at,
            ticketedAt: at,
            startAt: at,
            activeAt: at,
            hold: {
              ...noHold,
              site: "AMST",
              worker: "amst-w1.fabric-testbed.net",
              cores: 60,
              ram: 10,
              disk: 10,
            },
            grants: {},
          },
        ],
      },
    ],
  };
  mkdirSync(join(state, "nodes/fabric/emulator"), { recursive: true });
  writeFileSync(join(state, "nodes/fabric/emulator/state.json"), JSON.stringify(saved));
}

const coresAtAmst = (): number[] =>
  emulatedSites({ state, project: "p", stack: "dev" })
    .find((s) => s.site === "AMST")
    ?.workers.map((w) => w.cores) ?? [];

describe("the emulator's sites", () => {
  it("are all free before it has ever run", () => {
    expect(coresAtAmst()).toEqual([64, 64, 64]);
    expect(emulatedSites({ state, project: "p", stack: "dev" }).map((s) => s.site)).toEqual([
      ...productionSites,
    ]);
  });

  it("lack what another's slice holds, and not what our own does", () => {
    saveSlice("other");
    expect(coresAtAmst()).toEqual([4, 64, 64]);
    saveSlice("dev");
    expect(coresAtAmst()).toEqual([64, 64, 64]);
  });

  it("do not fail a preview when the file is damaged: the emulator tells of that itself", () => {
    saveSlice("other");
    writeFileSync(join(state, "nodes/fabric/emulator/state.json"), "{");
    expect(coresAtAmst()).toEqual([64, 64, 64]);
  });
});

describe("FABRIC's public summary", () => {
  it("gives the same room as the capacity it was made from", () => {
    const capacity = freeCapacity(parseScenario(), emptyState);
    const answer = {
      data: [resourceSummary(capacity, { level: 2 })],
      type: "resources",
      size: 1,
      status: 200,
    };
    expect(sitesInSummary(answer)).toEqual(
      capacity.map(({ site, workers }) => ({
        site,
        maintenance: false,
        workers: workers.map((w) => ({
          name: w.name,
          ...{ cores: w.cores.free, ram: w.ram.free, disk: w.disk.free },
          devices: Object.fromEntries(Object.entries(w.components).map(([key, { free }]) => [key, free])),
        })),
      })),
    );
  });

  it("counts a site as one worker where its hosts are not told, and knows maintenance", () => {
    const site = { name: "AMST", state: "Maint", cores_available: 7, ram_available: 8, disk_available: 9 };
    expect(sitesInSummary({ data: [{ sites: [site] }] })).toEqual([
      { site: "AMST", maintenance: true, workers: [{ cores: 7, ram: 8, disk: 9 }] },
    ]);
  });

  it("is refused where it is something else", () => {
    for (const answer of [undefined, {}, { data: [] }, { data: [{ sites: [{}] }] }])
      expect(() => sitesInSummary(answer)).toThrow();
    // Of a server that is up to no good: refused in the time that reading it takes.
    const many = Array.from({ length: 200_000 }, (_, i) => ({ name: `s${i}`, site: "x" }));
    const from = performance.now();
    expect(() => sitesInSummary({ data: [{ sites: many, hosts: many }] })).toThrow();
    expect(performance.now() - from).toBeLessThan(10_000);
  });
});

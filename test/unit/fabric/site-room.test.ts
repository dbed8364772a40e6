import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Room,
  roomProblems,
  type SiteRoom,
  type Wanted,
  wantedOf,
  withoutSlice,
} from "../../../infra/fabric/site-room.js";
import { parseNodeSpec } from "../../../infra/fabric/spec.js";

const worker = (cores: number, ram = 512, disk = 5000): Room => ({ cores, ram, disk });
const wanted = (name: string, site: string, cores: number, ram = 16, disk = 50): Wanted => ({
  name,
  site,
  cores,
  ram,
  disk,
});
const sites: SiteRoom[] = [
  { site: "AMST", workers: [worker(12), worker(8)] },
  { site: "BRIST", workers: [worker(64)] },
  { site: "CERN", workers: [worker(64)] },
  { site: "LOSA", workers: [worker(64, 8)] },
  { site: "PSC", workers: [worker(64)] },
  { site: "TOKY", workers: [worker(64)], maintenance: true },
  { site: "WASH", workers: [worker(64)] },
];

describe("roomProblems", () => {
  it("finds room for what fits", () => {
    expect(roomProblems([wanted("a", "AMST", 12), wanted("b", "AMST", 8)], sites)).toEqual([]);
  });

  it("says what is short, and where there is room", () => {
    expect(roomProblems([wanted("server", "AMST", 64)], sites)).toEqual([
      {
        code: "FAB-SITE-FULL",
        path: "nodes.server.cores",
        message: "64 asked, AMST has 12 free",
        remedy: "room at BRIST, CERN, PSC",
      },
    ]);
    expect(roomProblems([wanted("server", "LOSA", 4)], sites)[0]).toMatchObject({
      path: "nodes.server.ram",
      message: "16 GB asked, LOSA has 8 GB free",
    });
  });

  it("counts the nodes together, and a node must fit into one worker", () => {
    expect(
      roomProblems([wanted("a", "AMST", 10), wanted("b", "AMST", 10)], sites).map((p) => p.path),
    ).toEqual(["nodes.b.cores"]);
    expect(roomProblems([wanted("a", "AMST", 20)], sites)).toHaveLength(1);
  });

  it("says when nobody has so much, and when a site is closed", () => {
    expect(roomProblems([wanted("a", "AMST", 100)], sites)[0]?.remedy).toBe(
      "no site has that much; ask for less",
    );
    expect(roomProblems([wanted("a", "TOKY", 1)], sites)[0]).toMatchObject({
      code: "FAB-SITE-MAINTENANCE",
      path: "nodes.a.site",
    });
  });

  it("counts what a node takes, not what it asks for", () => {
    const [problem] = roomProblems(
      [{ ...wanted("a", "AMST", 10), takes: { cores: 14, ram: 16, disk: 100 } }],
      sites,
    );
    expect(problem?.message).toBe("10 asked (14 as FABRIC rounds it), AMST has 12 free");
  });

  it("never gives a site more than it has", () => {
    const node = fc.record({
      cores: fc.integer({ min: 1, max: 20 }),
      ram: fc.integer({ min: 1, max: 64 }),
      disk: fc.integer({ min: 1, max: 500 }),
    });
    fc.assert(
      fc.property(fc.array(node, { maxLength: 12 }), fc.array(node, { maxLength: 4 }), (sizes, workers) => {
        const nodes = sizes.map((size, i) => ({ ...size, name: `n${i}`, site: "AMST" }));
        const problems = new Set(
          roomProblems(nodes, [{ site: "AMST", workers }]).map((p) => p.path?.split(".")[1]),
        );
        const placed = nodes.filter((n) => !problems.has(n.name));
        for (const unit of ["cores", "ram", "disk"] as const) {
          const total = (list: readonly Room[]): number => list.reduce((sum, one) => sum + one[unit], 0);
          expect(total(placed)).toBeLessThanOrEqual(total(workers));
        }
      }),
    );
  });
});

describe("devices", () => {
  const node = (more: object) => wantedOf("server", parseNodeSpec({ site: "AMST", ...more }));
  const gpus = (site: string, n: number): SiteRoom => ({
    site,
    workers: [{ ...worker(64), name: `${site}-w1`, devices: { "GPU-A30": n, "SharedNIC-ConnectX-6": 2 } }],
  });

  it("are counted by model, on one worker", () => {
    const wish = node({ components: ["GPU_A30", "GPU_A30"] });
    expect(roomProblems([wish], [gpus("AMST", 2)])).toEqual([]);
    expect(roomProblems([wish], [gpus("AMST", 1), gpus("PSC", 2)])).toEqual([
      {
        code: "FAB-SITE-FULL",
        path: "nodes.server.components",
        message: "2 GPU_A30 asked, AMST has 1 free on one worker",
        remedy: "room at PSC",
      },
    ]);
  });

  it("are cards as well, those that each node has among them", () => {
    const off = node({ nics: { a: "NIC_Basic", b: "NIC_Basic" }, siteNetwork: false });
    expect(roomProblems([off], sites)).toEqual([]);
    const wish = node({ nics: { a: "NIC_Basic", b: "NIC_Basic" } });
    expect(roomProblems([wish], [gpus("AMST", 0)])[0]).toMatchObject({
      path: "nodes.server.nics",
      message: "3 NIC_Basic asked, AMST has 2 free on one worker",
    });
  });

  it("are not asked for where nobody says what there is", () => {
    expect(roomProblems([node({ components: ["GPU_A30"] })], sites)).toEqual([]);
  });

  it("and sizes that our own slice holds count as free, as FABRIC rounded them", () => {
    const holds = { ...node({ components: ["GPU_A30"] }), components: ["GPU_A30"], worker: "AMST-w1" };
    const [site] = withoutSlice([gpus("AMST", 0)], [holds]);
    expect(site?.workers[0]).toEqual({
      name: "AMST-w1",
      ...{ cores: 68, ram: 528, disk: 5100 },
      devices: { "GPU-A30": 1, "SharedNIC-ConnectX-6": 3 },
    });
  });
});

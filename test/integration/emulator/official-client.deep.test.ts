import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { openStore } from "../../../infra/fabric/emulator/store.js";
import { flavourFor, flavourName } from "../../../infra/fabric/flavours.js";
import { writeGraphml } from "../../../infra/fabric/graphml.js";
import { faultyGraphs, fimCatchesNot, refusedByBuilders } from "../../unit/emulator/faulty.js";
import { OfficialClient } from "./official-client.js";
import { makeToken } from "./token.js";
import { until } from "./until.js";

interface Sliver {
  readonly sliver_id: string;
  readonly graph_node_id: string;
  readonly sliver_type: string;
  readonly state: string;
  readonly notice: string;
  readonly name: string;
  readonly type: string;
  readonly site: string;
  readonly mgmt_ip: string | null;
  readonly gateway: { readonly ipv4: string; readonly ipv4_subnet: string } | null;
  readonly capacity_allocations: Readonly<Record<string, number>> | null;
  readonly sliver: Readonly<Record<string, unknown>>;
  readonly lease_end_time: string;
}

interface Slice {
  readonly slice_id: string;
  readonly name: string;
  readonly state: string;
  readonly graph_id: string;
  readonly lease_end_time: string;
  readonly owner_email: string;
  readonly project_id: string;
}

interface Topology {
  readonly nodes: Readonly<
    Record<
      string,
      Readonly<Record<string, unknown>> & {
        readonly interfaces: Readonly<Record<string, { readonly mac: string }>>;
      }
    >
  >;
  readonly services: Readonly<
    Record<
      string,
      Readonly<Record<string, unknown>> & { readonly addresses: Readonly<Record<string, readonly string[]>> }
    >
  >;
}

interface SiteData {
  readonly total: Readonly<Record<string, number>>;
  readonly taken: Readonly<Record<string, number>> | null;
  readonly components: readonly string[];
  readonly workers: readonly string[];
}

/** Without nulls, which the API drops, and lists of parts by name: their order says nothing. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value))
    return value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== null);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, sorted(v)]));
}

describe("FABRIC's own client against the emulator", () => {
  let folder: string;
  let app: FastifyInstance;
  let url: string;
  let client: OfficialClient;
  let graph: string;
  let sliceId: string;

  const serve = async (port = 0): Promise<void> => {
    app = buildEmulator({ scenario: parseScenario(), store: await openStore(join(folder, "state.json")) });
    url = await app.listen({ port, host: "127.0.0.1" });
  };
  const slice = async (): Promise<Slice> => {
    const [found] = await client.get<readonly Slice[]>({
      do: "slices",
      slice_id: sliceId,
      graph_format: "NONE",
      return_fmt: "dict",
    });
    if (found === undefined) throw new Error("no slice");
    return found;
  };
  const state = (wanted: string) =>
    until(
      `slice ${wanted}`,
      async () => (await slice()).state,
      (s) => s === wanted,
    );
  const slivers = () =>
    client.get<readonly Sliver[]>({ do: "slivers", slice_id: sliceId, return_fmt: "dict" });
  const model = () =>
    client.get<{ model: string }>({
      do: "get_slice",
      slice_id: sliceId,
      graph_format: "GRAPHML",
      return_fmt: "dict",
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "emulator-"));
    await serve();
    client = await OfficialClient.start(url, makeToken());
    graph = await client.get<string>({
      do: "fablib_topology",
      nodes: [
        { name: "server", site: "AMST", cores: 4, ram: 16, disk: 50 },
        { name: "clientone", site: "AMST", cores: 4, ram: 16, disk: 50 },
        { name: "clienttwo", site: "LOSA", cores: 2, ram: 8, disk: 10, components: ["GPU_A30"] },
      ],
    });
  }, 600_000);

  afterAll(async () => {
    await client?.stop();
    await app?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("creates a slice of FABlib's making", async () => {
    const made = await client.get<readonly Sliver[]>({
      do: "create",
      slice_name: "vfl",
      ssh_keys: ["ssh-ed25519 AAAA"],
      slice_graph: graph,
      return_fmt: "dict",
    });
    expect(made.map((s) => [s.name, s.sliver_type, s.type, s.site, s.state])).toEqual([
      ["server", "NodeSliver", "VM", "AMST", "Nascent"],
      ["clientone", "NodeSliver", "VM", "AMST", "Nascent"],
      ["clienttwo", "NodeSliver", "VM", "LOSA", "Nascent"],
      ["net-AMST", "NetworkServiceSliver", "FABNetv4", "AMST", "Nascent"],
      ["net-LOSA", "NetworkServiceSliver", "FABNetv4", "LOSA", "Nascent"],
    ]);
    const found = await client.get<readonly Slice[]>({ do: "slices", name: "vfl", return_fmt: "dict" });
    sliceId = found[0]?.slice_id ?? "";
    expect(found).toMatchObject([{ name: "vfl", owner_email: "ada@uva.nl", project_id: "project-1" }]);
    await state("StableOK");
  });

  it("shows slivers that are up, with addresses", async () => {
    const all = await slivers();
    expect(all.map((s) => s.state)).toEqual(Array(5).fill("Active"));
    const [server, , , amst] = all;
    expect(server?.mgmt_ip).toMatch(/^2001:400:/);
    expect(server?.capacity_allocations).toEqual({ core: 4, ram: 16, disk: 100 });
    expect(amst?.gateway?.ipv4_subnet).toMatch(/^10\.128\.\d+\.0\/24$/);
    expect(amst?.sliver.interfaces).toHaveLength(2);
    const one = await client.get<readonly Sliver[]>({
      do: "slivers",
      slice_id: sliceId,
      sliver_id: server?.sliver_id,
      return_fmt: "dict",
    });
    expect(one.map((s) => s.name)).toEqual(["server"]);
  });

  it("gives a model that FIM loads and validates", async () => {
    const text = (await model()).model;
    const topology = await client.get<Topology>({ do: "validate", graph: text });
    expect(Object.keys(topology.nodes)).toEqual(["server", "clientone", "clienttwo"]);
    expect(topology.nodes.server).toMatchObject({
      state: "Active",
      error: null,
      flavour: "fabric.c4.m16.d100",
      worker: "amst-w1.fabric-testbed.net",
    });
    const macs = Object.values(topology.nodes).flatMap((n) => Object.values(n.interfaces).map((i) => i.mac));
    expect(macs.every((m) => /^02(:[0-9A-F]{2}){5}$/.test(m))).toBe(true);
    expect(new Set(macs).size).toBe(3);
    const net = topology.services["net-AMST"];
    expect(net).toMatchObject({ type: "FABNetv4", site: "AMST", state: "Active" });
    const base = String(net?.subnet).replace("0/24", "");
    expect(net?.gateway).toBe(`${base}1`);
    expect(Object.values(net?.addresses ?? {})).toEqual([[`${base}2`, `${base}2`], [`${base}3`, `${base}3`]]); // biome-ignore format: one line
    expect(topology.services["net-LOSA"]?.subnet).not.toBe(net?.subnet);
  });

  it("gives sliver dictionaries as FIM makes them of the model", async () => {
    const made = await client.get<Record<string, unknown>>({
      do: "dictionaries",
      graph: (await model()).model,
    });
    const shown = Object.fromEntries((await slivers()).map((s) => [s.graph_node_id, s.sliver]));
    expect(sorted(shown)).toEqual(sorted(made));
  });

  it("refuses the client's own default graph format, as the real front would", async () => {
    expect(await client.ask({ do: "get_slice", slice_id: sliceId })).toMatchObject({
      status: 400,
      error: expect.stringContaining(
        "'GraphFormat.GRAPHML' is not one of ['GRAPHML', 'JSON_NODELINK', 'CYTOSCAPE', 'NONE']",
      ),
    });
  });

  it("has the other formats as FIM writes them", async () => {
    const read = async (graph_format: string) =>
      JSON.parse(
        (
          await client.get<{ model: string }>({
            do: "get_slice",
            slice_id: sliceId,
            graph_format,
            return_fmt: "dict",
          })
        ).model,
      );
    expect((await read("JSON_NODELINK")).nodes[0]).toMatchObject({ Name: "server", id: 1 });
    expect((await read("CYTOSCAPE")).elements.nodes[0].data).toMatchObject({
      Name: "server",
      id: "1",
      value: 1,
    });
  });

  it("keeps everything over a restart", async () => {
    const before = [await slice(), await slivers(), await model()];
    const port = Number(new URL(url).port);
    await app.close();
    await serve(port);
    expect([await slice(), await slivers(), await model()]).toEqual(before);
  });

  it("adds a node to a network that is there, and one with a network of its own; accept settles it", async () => {
    const edited = await client.get<string>({
      do: "edit",
      graph: (await model()).model,
      changes: [{ kind: "add_node", name: "late", site: "AMST", join: "net-AMST" }, { kind: "add_node", name: "far", site: "HAWI" }], // biome-ignore format: one line
    });
    const before = await client.get<Topology>({ do: "validate", graph: (await model()).model });
    const made = await client.get<readonly Sliver[]>({
      do: "modify",
      slice_id: sliceId,
      slice_graph: edited,
      return_fmt: "dict",
    });
    expect(made.map((s) => s.name).sort()).toEqual(["far", "late", "net-AMST", "net-far"]);
    expect((await slice()).state).toBe("Modifying");
    await state("ModifyOK");
    const accepted = await client.get<Topology>({ do: "modify_accept", slice_id: sliceId });
    expect(Object.keys(accepted.nodes).sort()).toEqual(["clientone", "clienttwo", "far", "late", "server"]);
    expect((await slice()).state).toBe("StableOK");
    const addresses = accepted.services["net-AMST"]?.addresses ?? {};
    const old = before.services["net-AMST"]?.addresses ?? {};
    for (const [port, address] of Object.entries(old)) expect(addresses[port]).toEqual(address);
    expect(new Set(Object.values(addresses).map((a) => a[0])).size).toBe(3);
    expect(accepted.services["net-far"]?.subnet).toMatch(/^10\./);
  });

  it("removes a node and its network", async () => {
    const edited = await client.get<string>({
      do: "edit",
      graph: (await model()).model,
      changes: [{ kind: "remove_service", name: "net-far" }, { kind: "remove_node", name: "far" }], // biome-ignore format: one line
    });
    await client.get({ do: "modify", slice_id: sliceId, slice_graph: edited, return_fmt: "dict" });
    await state("ModifyOK");
    await client.get({ do: "modify_accept", slice_id: sliceId });
    const gone = (await slivers()).filter((s) => s.state === "Closed").map((s) => s.name);
    expect(gone.sort()).toEqual(["far", "net-far"]);
    const topology = await client.get<Topology>({ do: "validate", graph: (await model()).model });
    expect(Object.keys(topology.nodes).sort()).toEqual(["clientone", "clienttwo", "late", "server"]);
  });

  it("ignores a VM's new size and site, and takes its user data without leaving StableOK", async () => {
    const edit = async (changes: readonly unknown[]) => {
      const text = await client.get<string>({ do: "edit", graph: (await model()).model, changes });
      return client.get<readonly Sliver[]>({
        do: "modify",
        slice_id: sliceId,
        slice_graph: text,
        return_fmt: "dict",
      });
    };
    const changed = await edit([
      { kind: "resize", name: "late", core: 8, site: "AMST" },
      { kind: "user_data", name: "late", value: { mark: "ours" } },
    ]);
    expect(changed).toEqual([]);
    expect((await slice()).state).toBe("StableOK");
    const topology = await client.get<Topology>({ do: "validate", graph: (await model()).model });
    expect(topology.nodes.late).toMatchObject({
      capacities: { core: 2, ram: 8, disk: 10 },
      user_data: { mark: "ours" },
    });
  });

  it("renews, clamps and refuses to shorten a lease", async () => {
    await client.get({ do: "renew_by_hours", slice_id: sliceId, hours: 24 * 40 });
    expect((await slice()).state).toBe("Configuring");
    await state("StableOK");
    const end = Date.parse((await slice()).lease_end_time.replace(" +0000", "Z").replace(" ", "T"));
    expect((end - Date.now()) / 86_400_000).toBeCloseTo(15, 2);
    expect(await client.ask({ do: "renew_by_hours", slice_id: sliceId, hours: 24 })).toMatchObject({
      status: 500,
      error: expect.stringContaining("Attempted new term end time is shorter than current slice end time"),
    });
  });

  it("tells what sites have, in sum and by worker", async () => {
    const sum = await client.get<Record<string, SiteData>>({ do: "resources" });
    expect(Object.keys(sum)).toHaveLength(32);
    expect(sum.AMST?.total).toMatchObject({ core: 192, ram: 1536 });
    expect(sum.AMST?.taken).toMatchObject({ core: 10, ram: 40 }); // server and clientone 4/16, late 2/8
    expect(sum.LOSA?.components).toContain("GPU-A30");
    const detail = await client.get<Record<string, SiteData>>({
      do: "portal_resources",
      graph_format: "GRAPHML",
      level: 2,
      includes: ["AMST", "LOSA"],
    });
    expect(Object.keys(detail).sort()).toEqual(["AMST", "LOSA"]);
    expect(detail.AMST?.workers).toHaveLength(3);
    const summary = await client.get<{ sites: Record<string, unknown>[]; hosts: Record<string, unknown>[] }>({
      do: "resources_summary",
      includes: ["AMST"],
    });
    expect(summary.sites).toMatchObject([
      {
        name: "AMST",
        state: "Active",
        cores_capacity: 192,
        cores_allocated: 10,
        cores_available: 182,
        hosts_count: 3,
      },
    ]);
    expect(summary.hosts).toHaveLength(3);
    expect(
      await client.get({ do: "portal_resources_summary", resource_type: "sites", includes: ["AMST"] }),
    ).toEqual({ sites: summary.sites });
  });

  it("performs calls on a running sliver", async () => {
    const [server] = await slivers();
    const [made] = await client.get<readonly { poa_id: string; operation: string }[]>({
      do: "poa",
      sliver_id: server?.sliver_id,
      operation: "reboot",
      return_fmt: "dict",
    });
    expect(made).toMatchObject({ operation: "reboot", slice_id: sliceId });
    const found = await until(
      "the call's success",
      () =>
        client.get<readonly { state: string }[]>({
          do: "get_poas",
          poa_id: made?.poa_id,
          return_fmt: "dict",
        }),
      (p) => p[0]?.state === "Success",
    );
    expect(found).toHaveLength(1);
  });

  it("deletes; the slice is Dead and its room free", async () => {
    await client.get({ do: "delete", slice_id: sliceId });
    expect((await slice()).state).toBe("Closing");
    await state("Dead");
    expect((await slivers()).every((s) => s.state === "Closed")).toBe(true);
    const sum = await client.get<Record<string, SiteData>>({ do: "resources" });
    expect(sum.AMST?.taken?.core ?? 0).toBe(0);
    expect(await client.get({ do: "slices", excludes: ["Closing", "Dead"], return_fmt: "dict" })).toEqual([]);
  });

  it("refuses what FIM refuses, in FIM's words", async () => {
    for (const [name, { graph: faulty, text }] of Object.entries(faultyGraphs)) {
      const fim = await client.ask({ do: "validate", graph: writeGraphml(faulty) });
      expect(`${name}: ${fim.error}`).toBe(`${name}: TopologyException: ${text}`);
      const emulated = await client.ask({
        do: "create",
        slice_name: "faulty",
        ssh_keys: ["k"],
        slice_graph: writeGraphml(faulty),
      });
      expect(JSON.parse(emulated.error ?? "")).toMatchObject({ errors: [{ details: text }], status: 500 });
    }
    const unseen = Object.entries(refusedByBuilders).map(([name, f]) => [name, f.graph] as const);
    for (const [name, graph] of [...Object.entries(fimCatchesNot), ...unseen]) {
      expect([name, (await client.ask({ do: "validate", graph: writeGraphml(graph) })).error]).toEqual([
        name,
        undefined,
      ]);
    }
  });

  it("rounds sizes as FIM's catalogue does", async () => {
    const wishes = [[1, 2, 10], [2, 8, 10], [3, 9, 11], [4, 16, 50], [16, 100, 100], [32, 128, 501], [64, 8, 10], [65, 16, 10]]; // biome-ignore format: one line
    const names = await client.get<readonly string[]>({ do: "flavours", wishes });
    expect(
      wishes.map(([core = 0, ram = 0, disk = 0]) => flavourName(flavourFor({ core, ram, disk }))),
    ).toEqual(names);
  });
});

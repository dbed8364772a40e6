// FABlib (FablibManager, from PyPI) and this library on the same slices: each opens what the other made, and takes nothing of it away.
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Hosts, openHosts } from "../../../infra/fabric/emulator/hosts.js";
import { withHosts } from "../../../infra/fabric/emulator/hosts-settings.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { openEndpoint } from "../../../infra/fabric/endpoint.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { ensure } from "../../../infra/toolchain/tools.js";
import { quick } from "../../support/emulated-fabric.js";
import { TestStack } from "../../support/engine.js";
import { Fablib, type FablibSlice } from "./fablib.js";

let folder = "";
let hosts: Hosts;
let app: FastifyInstance;
let url = "";
let fablib: Fablib;
const stacks: TestStack[] = [];

beforeAll(async () => {
  await ensure(["sshd"]);
  folder = mkdtempSync(join(tmpdir(), "fablib "));
  hosts = await openHosts({ mode: "loopback", folder: join(folder, "hosts"), store: memoryStore() });
  app = buildEmulator({ scenario: parseScenario({ delays: quick }), store: hosts.store });
  withHosts(app, hosts);
  await app.listen({ port: 0, host: "127.0.0.1" });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  fablib = await Fablib.start({ url, hosts: join(folder, "hosts") });
}, 600_000);

afterAll(async () => {
  for (const stack of stacks) stack.end();
  await fablib?.stop();
  await app?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}, 120_000);

/** The API with the same files as FABlib's, but without TLS: the authority is this test's. */
const access = () => openEndpoint({ kind: "fabric", host: url, rc: fablib.rc });
const graphOf = async (id: string): Promise<string> => (await (await access()).api.slice(id)).model ?? "";

const spec = parseSliceSpec({
  name: "ours",
  nodes: {
    one: {
      site: "AMST",
      cores: 2,
      ram: 8,
      disk: 10,
      components: ["GPU_A30"],
      userData: { purpose: "training" },
    },
    two: { site: "LOSA", image: "default_rocky_9" },
  },
});

describe("a slice of ours in FABlib", { timeout: 120_000 }, () => {
  const mark = { project: "dynamos-fabric", stack: "dev", id: "mark-1" };
  let id = "";
  const keeper = async () =>
    new SliceKeeper({ api: (await access()).api, mark, sshKeys: () => [fablib.publicKey] });

  it("opens: get_slice, list_nodes, sizes, cards, addresses", async () => {
    const kept = await (await keeper()).create(spec);
    id = kept.id;
    const opened = await fablib.ask<FablibSlice>({ do: "open", name: "ours" });
    expect(opened).toMatchObject({ id, name: "ours", state: "StableOK" });
    expect(opened.listed.map((n) => [n.name, n.site, n.state, n.management_ip]).sort()).toEqual(
      kept.view.nodes.map((n) => [n.name, n.site, "Active", n.managementIp]),
    );
    expect(opened.nodes).toMatchObject({
      one: {
        ...{ cores: 2, ram: 8, disk: 10, image: "default_ubuntu_22", username: "ubuntu" },
        components: { "one-nic1": "NIC_Basic", "one-gpu-a30-1": "GPU_A30" },
        user_data: { purpose: "training" },
      },
      two: { image: "default_rocky_9", username: "rocky" },
    });
    for (const { name, mac, network: on } of kept.view.nodes) {
      const cards = Object.values(opened.nodes[name]?.interfaces ?? {});
      expect(cards).toMatchObject([{ mac, network: on }]);
    }
    for (const { name, site, subnet, gateway } of kept.view.networks)
      expect(opened.networks[name]).toMatchObject({ type: "FABNetv4", site, subnet, gateway });
  });

  it("is logged in to: node.execute, through the bastion", async () => {
    for (const node of Object.keys(spec.nodes)) {
      const command = 'echo "$(hostname) $((6 * 7))"; echo quiet >&2';
      const said = await fablib.ask<{ output: string; errors: string }>({
        do: "execute",
        name: "ours",
        node,
        command,
      });
      expect(said).toMatchObject({ output: expect.stringMatching(/ 42\n$/), errors: "quiet\n" });
    }
  });

  it("keeps what FABlib writes into it, and stays ours", async () => {
    const changed = await fablib.ask<FablibSlice>({
      ...{ do: "user_data", name: "ours", node: "one" },
      value: { notebook: { cell: 7 }, fablib_data: { note: "hello" } },
    });
    expect(changed.nodes.one?.user_data).toMatchObject({ notebook: { cell: 7 }, dynamos_fabric: mark });
    const before = await graphOf(id);
    const kept = await (await keeper()).update(id, spec, spec);
    expect(kept.failures).toEqual([]);
    expect(await graphOf(id)).toBe(before);
    // A change of our own keeps theirs.
    const wider = parseSliceSpec({
      ...spec,
      nodes: { ...spec.nodes, one: { ...spec.nodes.one, userData: { purpose: "test" } } },
    });
    await (await keeper()).update(id, spec, wider);
    const again = await fablib.ask<FablibSlice>({ do: "open", name: "ours" });
    expect(again.nodes.one?.user_data).toMatchObject({
      ...{ purpose: "test", notebook: { cell: 7 }, fablib_data: { note: "hello" }, dynamos_fabric: mark },
    });
    await (await keeper()).delete(id);
  });
});

describe("a slice of FABlib's in a stack", { timeout: 240_000 }, () => {
  const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
const slice = new FabricSlice("course", {
  sliceName: "course",
  adopt: config.require("adopt"),
  endpoint: { kind: "fabric", rc: config.require("rc") },
  nodes: config.requireObject("nodes"),
  networks: config.requireObject("networks"),
});
exports.hosts = slice.hosts;
exports.sliceId = slice.sliceId;`;
  const small = { cores: 2, ram: 8, disk: 10, image: "default_rocky_9" };
  const nodes = {
    left: { site: "AMST", ...small, nics: { lab: "NIC_Basic" }, components: ["GPU_A30"] },
    right: { site: "AMST", ...small, cores: 4, nics: { lab: "NIC_Basic" } },
    far: { site: "LOSA", ...small },
    // On no network of its site, as FABlib makes a VM unless it is told to: one with a card for the wire, one with nothing.
    inner: { site: "TOKY", ...small, siteNetwork: false, nics: { nic1: "NIC_Basic" } },
    alone: { site: "TOKY", ...small, siteNetwork: false },
  };
  const networks = {
    lab: {
      type: "L2Bridge",
      interfaces: [
        { node: "left", nic: "lab" },
        { node: "right", nic: "lab" },
      ],
    },
    back: { type: "L2Bridge", interfaces: [{ node: "inner", nic: "nic1" }] },
  };

  it("is taken over as it is, with no change in the next preview, and FABlib goes on with it", async () => {
    const made = await fablib.ask<FablibSlice>({
      ...{ do: "make", name: "course" },
      nodes: [
        {
          name: "left",
          site: "AMST",
          fabnet: true,
          cards: ["lab"],
          components: [{ model: "GPU_A30", name: "gpu" }],
        },
        { name: "right", site: "AMST", cores: 4, fabnet: true, cards: ["lab"], user_data: { week: 3 } },
        { name: "far", site: "LOSA", fabnet: true },
        { name: "inner", site: "TOKY", cards: ["nic1"] },
        { name: "alone", site: "TOKY" },
      ],
      networks: [
        { kind: "l2", name: "lab", cards: ["left.lab", "right.lab"], type: "L2Bridge" },
        { kind: "l2", name: "back", cards: ["inner.nic1"], type: "L2Bridge" },
      ],
    });
    expect(made.state).toBe("StableOK");

    // Over TLS, with the fabric_rc that FABlib has.
    const env = { NODE_EXTRA_CA_CERTS: fablib.authority };
    const stack = new TestStack({ program, project: "adopting", stack: "dev", env });
    stacks.push(stack);
    stack.config({
      "test:adopt": made.id,
      "test:rc": fablib.rc,
      "test:nodes": nodes,
      "test:networks": networks,
    });
    const preview = await stack.preview();
    expect(preview.diagnostics.map((d) => d.message).join("\n")).toContain(`takes over slice ${made.id}`);
    const taken = await stack.up();
    expect(taken.code, taken.text).toBe(0);
    expect(taken.outputs.sliceId).toBe(made.id);
    const hostsOut = taken.outputs.hosts as {
      name: string;
      managementIp: string;
      address: string;
      mac: string;
      routes: unknown[];
    }[];
    const joined = ["far", "left", "right"];
    expect(hostsOut.map((h) => [h.name, h.managementIp, h.routes.length])).toEqual(
      ["alone", "far", "inner", "left", "right"].map((n) => [
        n,
        made.nodes[n]?.management_ip,
        joined.includes(n) ? 1 : 0,
      ]),
    );
    for (const { name, address, mac } of hostsOut) {
      expect(address).toMatch(joined.includes(name) ? /^10\.\d+\.\d+\.\d+$/ : /^$/);
      expect(mac).toMatch(joined.includes(name) ? /^02:/ : /^$/);
    }
    const next = await stack.preview();
    expect(next.code, next.text).toBe(0);
    expect(next.steps.filter((s) => s.op !== "same").map((s) => [s.op, s.urn, next.text])).toEqual([]);
    expect((await stack.refresh()).code).toBe(0);
    expect((await stack.preview()).steps.filter((s) => s.op !== "same")).toEqual([]);

    // Nothing but the mark has come, and FABlib finds its own data where it left them.
    const after = await fablib.ask<FablibSlice>({ do: "open", slice_id: made.id });
    const without = ({ dynamos_fabric: _, ...data }: Readonly<Record<string, unknown>> = {}) => data;
    for (const [name, node] of Object.entries(after.nodes)) {
      expect(node.user_data.dynamos_fabric).toMatchObject({ project: "adopting", stack: "dev" });
      expect({ ...node, user_data: without(node.user_data) }).toEqual(made.nodes[name]);
    }
    expect(Object.keys(after.networks)).toEqual(Object.keys(made.networks));
    const said = await fablib.ask<{ output: string }>({
      do: "execute",
      name: "course",
      node: "far",
      command: "echo there",
    });
    expect(said.output).toBe("there\n");

    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect((await (await access()).api.slice(made.id, "NONE")).state).toBe("Dead");
  });
});

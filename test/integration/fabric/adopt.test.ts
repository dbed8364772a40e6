import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SliceKeeper, UnfinishedSlice } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { InfraError } from "../../../infra/problem.js";
import { EmulatedFabric } from "../../support/emulated-fabric.js";
import { until } from "../emulator/until.js";

const mark = { project: "dynamos-fabric", stack: "dev", id: "mark-1" };
const sshKeys = () => ["ssh-ed25519 AAAA test"];

let fabric: EmulatedFabric;
let id = "";
const graph = async (): Promise<string> => (await fabric.api.slice(id)).model ?? "";
const keeper = () => new SliceKeeper({ api: fabric.api, mark, sshKeys });

/** `named` of test/unit/fabric: two VMs, and a network each that FABlib's user called net-AMST and net-LOSA. */
const nodes = {
  a1: { site: "AMST", cores: 2, ram: 8, disk: 10, image: "default_rocky_9" },
  b1: { site: "LOSA", cores: 2, ram: 8, disk: 10, image: "default_rocky_9" },
};
const spec = (change: object = {}) => parseSliceSpec({ name: "theirs", nodes, ...change });

const fablibs = readFileSync(join(__dirname, "../../unit/fabric/fablib-named.graphml"), "utf8");

const isIn = (state: string) =>
  until(
    `slice ${state}`,
    async () => (await fabric.api.slice(id, "NONE")).state,
    (s) => s === state,
  );

async function codesOf(work: Promise<unknown>): Promise<string[]> {
  try {
    await work;
  } catch (error) {
    const cause = error instanceof UnfinishedSlice ? error.cause : error;
    if (cause instanceof InfraError) return cause.problems.map((p) => `${p.code} ${p.path}`);
    throw error;
  }
  return [];
}

beforeEach(async () => {
  fabric = await EmulatedFabric.start();
  const leaseEnd = new Date(Date.now() + 86_400_000)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z/, " +0000");
  const slivers = await fabric.api.createSlice({
    name: "theirs",
    graph: fablibs,
    sshKeys: sshKeys(),
    leaseEnd,
  });
  id = slivers[0]?.sliceId ?? "";
  await isIn("StableOK");
});
afterEach(async () => fabric.stop());

describe("a slice without our mark", () => {
  it("is taken over by its id: the same slivers, addresses and networks, and nothing to change afterwards", async () => {
    const slivers = await fabric.api.slivers(id);
    const kept = await keeper().create(spec(), id);
    expect(kept).toMatchObject({ id, state: "StableOK", failures: [] });
    expect((await fabric.api.slivers(id)).map((s) => [s.sliverId, s.state])).toEqual(
      slivers.map((s) => [s.sliverId, "Active"]),
    );
    expect(kept.view.networks.map((n) => n.name)).toEqual(["net-AMST", "net-LOSA"]);
    const after = await graph();
    expect((await keeper().update(id, spec(), spec())).view).toEqual(kept.view);
    // A run that was killed right after it: the mark is found.
    expect((await keeper().create(spec(), id)).id).toBe(id);
    expect(await graph()).toBe(after);
  });

  it("changes afterwards as any slice of ours: a node joins the network that FABlib made, and one leaves with its network", async () => {
    await keeper().create(spec(), id);
    const { a1 } = nodes;
    const kept = await keeper().update(id, spec(), spec({ nodes: { a1, a2: { site: "AMST" } } }));
    expect(kept.failures).toEqual([]);
    expect(kept.view.networks.map((n) => [n.name, n.nodes])).toEqual([["net-AMST", ["a1", "a2"]]]);
  });

  it("is not touched when the specification would change it, nor without its id", async () => {
    const before = await graph();
    const larger = spec({ nodes: { ...nodes, a1: { ...nodes.a1, cores: 8 } } });
    expect(await codesOf(keeper().create(larger, id))).toEqual(["FAB-ADOPT-DIFFERS nodes.a1.cores"]);
    expect(await codesOf(keeper().create(spec()))).toEqual(["FAB-NAME-TAKEN name"]);
    expect(await graph()).toBe(before);
  });

  it("that is called otherwise or is gone is said to be, and no other is made in its place", async () => {
    expect(await codesOf(keeper().create(spec({ name: "mine" }), id))).toEqual(["FAB-ADOPT-NAME adopt"]);
    await fabric.api.deleteSlice(id);
    await isIn("Dead");
    expect(await codesOf(keeper().create(spec(), id))).toEqual(["FAB-ADOPT-GONE adopt"]);
    expect(await codesOf(keeper().create(spec(), "0000"))).toEqual(["FAB-ADOPT-GONE adopt"]);
    expect((await fabric.api.slices()).filter((s) => s.state !== "Dead")).toEqual([]);
  });
});

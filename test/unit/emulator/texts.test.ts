import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { permissionFault } from "../../../infra/fabric/emulator/permissions.js";
import { fimFault } from "../../../infra/fabric/emulator/validate.js";
import { readGraphml } from "../../../infra/fabric/graphml.js";
import { faultyGraphs, fimCatchesNot, refusedByBuilders } from "./faulty.js";
import { fabnetSlice, GraphBuilder } from "./graphs.js";

const one = { name: "one", site: "AMST" };

describe("what FIM refuses, in its words", () => {
  for (const [name, { graph, text }] of Object.entries({ ...faultyGraphs, ...refusedByBuilders })) {
    it(name, () => expect(fimFault(graph)).toBe(text));
  }

  for (const [name, graph] of Object.entries(fimCatchesNot)) {
    it(`lets pass, as FIM does: ${name}`, () => expect(fimFault(graph)).toBeUndefined());
  }

  it("finds nothing wrong with FIM's own example", () => {
    const text = readFileSync(join(__dirname, "../fabric/fim-two-sites.graphml"), "utf8");
    expect(fimFault(readGraphml(text))).toBeUndefined();
  });

  it("does not loop on a graph with a ring", () => {
    const graph = fabnetSlice([one]);
    const ring = {
      nodes: graph.nodes,
      edges: graph.nodes.flatMap((a) =>
        graph.nodes.map((b) => ({ source: a.id, target: b.id, label: "has", props: {} })),
      ),
    };
    expect(() => fimFault(ring)).not.toThrow();
  });
});

describe("what the project lacks, in the policy's words", () => {
  const denied = (rest: string) =>
    `PDP Failure: PDP Authorization check failed - Policy Violation: Your project is lacking ${rest}`;
  const cases: readonly (readonly [string, ReturnType<typeof fabnetSlice>, readonly string[], string | undefined])[] = [
    ["a small VM needs nothing", fabnetSlice([one]), [], undefined],
    ["cores", fabnetSlice([{ ...one, cores: 3 }]), ["VM.NoLimitRAM"], denied("VM.NoLimitCPU or VM.NoLimit tag to provision VM with more than 2 cores.")],
    ["RAM", fabnetSlice([{ ...one, ram: 11 }]), [], denied("VM.NoLimitRAM or VM.NoLimit tag to provision VM with more than 10GB of RAM.")],
    ["disk", fabnetSlice([{ ...one, disk: 11 }]), [], denied("VM.NoLimitDisk or VM.NoLimit tag to provision VM with disk over 10GB.")],
    ["any size with VM.NoLimit", fabnetSlice([{ ...one, cores: 64, ram: 256, disk: 1000 }]), ["VM.NoLimit"], undefined],
    ["a GPU", fabnetSlice([{ ...one, components: ["GPU-Tesla T4"] }]), [], denied("Component.GPU_Tesla_T4 or Component.GPU tag to provision a VM with Tesla T4 GPU.")],
    ["a GPU by its class", fabnetSlice([{ ...one, components: ["GPU-Tesla T4"] }]), ["Component.GPU"], undefined],
    ["a GPU by its name", fabnetSlice([{ ...one, components: ["GPU-A30"] }]), ["Component.GPU_A30"], undefined],
    ["a card of one's own", fabnetSlice([{ ...one, nic: "SmartNIC" }]), [], denied("Component.SmartNIC_ConnectX_6 or Component.SmartNIC tag to provision a VM with ConnectX-6 SmartNIC.")],
    ["two sites", fabnetSlice([one, { name: "two", site: "LOSA" }]), [], denied("Slice.Multisite tag to request a slice spanning multiple sites.")],
    ["two sites with the right", fabnetSlice([one, { name: "two", site: "LOSA" }]), ["Slice.Multisite"], undefined],
    ["outside addresses", new GraphBuilder().node(one).network({ name: "net", type: "FABNetv4Ext", nodes: ["one"] }).build(), [], denied("Net.FABNetv4Ext tag to request a slice with external IPv4 connectivity.")],
    ["bandwidth", new GraphBuilder().node(one).network({ name: "net", nodes: ["one"], props: { Capacities: '{"bw": 11}' } }).build(), [], denied("Net.NoLimitBW tag to request links with bandwidth over 10Gbps.")],
  ]; // biome-ignore format: a table
  it.each(cases)("%s", (_name, graph, tags, text) => expect(permissionFault(graph, tags)).toBe(text));
});

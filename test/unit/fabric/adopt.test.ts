import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adoptionProblems, mustAdoptUnchanged } from "../../../infra/fabric/adopt.js";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { specFromView } from "../../../infra/fabric/drift.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import { readGraphml } from "../../../infra/fabric/graphml.js";
import { ownership } from "../../../infra/fabric/mark.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { InfraError, problemLine } from "../../../infra/problem.js";

const mark = { project: "p", stack: "s", id: "mark-1" };

/** Slices as FABlib made them; the emulator brought them up (test/integration/emulator/fablib.py, `make`). */
const slice = (name: "fabnet" | "both" | "lwire" | "named") =>
  readGraphml(readFileSync(join(__dirname, `fablib-${name}.graphml`), "utf8"));

/** `add_fabnet()` on each node; the third has user data of its own. */
const fabnet = {
  n1: { site: "AMST", cores: 2, ram: 8, disk: 10, image: "default_rocky_9" },
  n2: { site: "AMST", cores: 2, ram: 8, disk: 10, image: "default_ubuntu_22", components: ["GPU_A30"] },
  n3: { site: "LOSA", cores: 2, ram: 8, disk: 10, image: "default_rocky_9" },
};
const spec = (nodes: object, networks?: object) =>
  parseSliceSpec({ name: "theirs", nodes, ...(networks === undefined ? {} : { networks }) });
const lines = (nodes: object) =>
  adoptionProblems(slice("fabnet"), spec(nodes), mark).map((p) => problemLine(p).replaceAll(/\s+/g, " "));

describe("taking over a slice of FABlib's", () => {
  it("changes nothing but the mark, and then nothing at all", () => {
    const theirs = slice("fabnet");
    mustAdoptUnchanged(theirs, spec(fabnet), mark);
    const options = { mark, ids: elementIds(mark.id), before: Object.keys(fabnet), userDataBefore: {} };
    const taken = applyChange(theirs, spec(fabnet), options);
    expect(taken.changed).toBe(true);
    expect(ownership(taken.graph, mark)).toBe("ours");
    expect(taken.graph.edges).toEqual(theirs.edges);
    const bare = (graph: typeof theirs) => graph.nodes.map(({ props: { UserData: _, ...rest } }) => rest);
    expect(bare(taken.graph)).toEqual(bare(theirs));
    expect(applyChange(taken.graph, spec(fabnet), options).changed).toBe(false);
  });

  it("keeps what FABlib and its user wrote into the user data", () => {
    const options = { mark, ids: elementIds(mark.id), before: Object.keys(fabnet), userDataBefore: {} };
    const { graph } = applyChange(slice("fabnet"), spec(fabnet), options);
    const data = (from: typeof graph, name: string) =>
      JSON.parse(from.nodes.find((n) => n.props.Name === name)?.props.UserData ?? "{}") as Record<
        string,
        unknown
      >;
    for (const name of ["n1", "n3", "FABNET_IPv4_AMST"]) {
      const { dynamos_fabric: _, ...kept } = data(graph, name);
      expect(kept).toEqual(data(slice("fabnet"), name));
    }
    expect(data(graph, "n3")).toMatchObject({ course: { week: 3 }, fablib_data: {}, dynamos_fabric: mark });
  });

  it("is refused where the specification says otherwise, with what the slice has", () => {
    expect(lines({ ...fabnet, n1: { site: "AMST" } })).toEqual([
      "nodes.n1.cores FAB-ADOPT-DIFFERS 4 asked, the slice has 2; write cores: 2",
      "nodes.n1.ram FAB-ADOPT-DIFFERS 16 asked, the slice has 8; write ram: 8",
      "nodes.n1.disk FAB-ADOPT-DIFFERS 50 asked, the slice has 10; write disk: 10",
      'nodes.n1.image FAB-ADOPT-DIFFERS "default_ubuntu_22" asked, the slice has "default_rocky_9"; write image: "default_rocky_9"',
    ]);
    expect(lines({ ...fabnet, n2: { ...fabnet.n2, components: [] } })).toEqual([
      'nodes.n2.components FAB-ADOPT-DIFFERS [] asked, the slice has ["GPU_A30"]; write components: ["GPU_A30"]',
    ]);
    expect(lines({ n1: fabnet.n1, n2: fabnet.n2 })).toEqual([
      'nodes.n3 FAB-ADOPT-DIFFERS missing; the slice has it; write {site: "LOSA", cores: 2, ram: 8, disk: 10, image: "default_rocky_9"}',
    ]);
    expect(lines({ ...fabnet, n4: { site: "AMST" } })).toEqual([
      "nodes.n4 FAB-ADOPT-DIFFERS the slice has no such node; leave it out until the slice is taken over, then add it",
    ]);
  });

  it("takes networks of any name, and networks beside those of the sites", () => {
    const small = { cores: 2, ram: 8, disk: 10, image: "default_rocky_9" };
    const named = { a1: { site: "AMST", ...small }, b1: { site: "LOSA", ...small } };
    expect(adoptionProblems(slice("named"), spec(named), mark)).toEqual([]);
    const both = { a1: { site: "AMST", ...small }, a2: { site: "AMST", ...small } };
    const bridge = {
      type: "L2Bridge",
      interfaces: [
        { node: "a1", nic: "lab" },
        { node: "a2", nic: "lab" },
      ],
    };
    const lab = { nics: { lab: "NIC_Basic" } };
    const withCards = { a1: { ...both.a1, ...lab }, a2: { ...both.a2, ...lab } };
    expect(adoptionProblems(slice("both"), spec(withCards, { bridge }), mark)).toEqual([]);
  });

  it("is refused where a card or network would come or go", () => {
    const small = { cores: 2, ram: 8, disk: 10, image: "default_rocky_9" };
    const nodes = { a1: { site: "AMST", ...small }, b1: { site: "LOSA", ...small } };
    const lan = { type: "L2Bridge", interfaces: [{ node: "a1" }] };
    const refusal = () => mustAdoptUnchanged(slice("named"), spec(nodes, { lan }), mark);
    expect(refusal).toThrow(InfraError);
    expect(refusal).toThrow(/networks\.lan.*FAB-ADOPT-DIFFERS.*would be added/);
  });

  it("takes nodes that are on no FABNetv4 network, where the specification says so", () => {
    const small = { cores: 2, ram: 8, disk: 10, image: "default_rocky_9" };
    const nodes = {
      left: { site: "AMST", ...small, cores: 4, ram: 16, disk: 50 },
      right: { site: "LOSA", ...small },
      alone: { site: "TOKY", ...small },
    };
    const told = adoptionProblems(slice("lwire"), spec(nodes), mark);
    expect(told.map((p) => problemLine(p).replaceAll(/\s+/g, " "))).toEqual(
      ["alone TOKY", "left AMST", "right LOSA"].map((words) => {
        const [name, site] = words.split(" ");
        return `nodes.${name}.siteNetwork FAB-ADOPT-DIFFERS the slice has it on no FABNetv4 network of ${site}; write siteNetwork: false`;
      }),
    );

    const siteNetwork = false;
    const off = {
      left: { ...nodes.left, siteNetwork, nics: { nic1: "NIC_Basic" } },
      right: { ...nodes.right, siteNetwork, nics: { nic1: "NIC_Basic" } },
      alone: { ...nodes.alone, siteNetwork },
    };
    const wire = { type: "L2STS", interfaces: ["left", "right"].map((node) => ({ node, nic: "nic1" })) };
    const wanted = spec(off, { wire });
    const theirs = slice("lwire");
    expect(adoptionProblems(theirs, wanted, mark).map((p) => problemLine(p))).toEqual([]);
    // A card is called by the place where one writes it.
    const more = spec({ ...off, alone: { ...off.alone, nics: { port0: "NIC_Basic" } } }, { wire });
    expect(adoptionProblems(theirs, more, mark).map((p) => p.path)).toEqual(["nodes.alone.nics.port0"]);
    const options = { mark, ids: elementIds(mark.id), before: Object.keys(off), userDataBefore: {} };
    const taken = applyChange(theirs, wanted, options);
    expect(taken.graph.edges).toEqual(theirs.edges);
    expect(applyChange(taken.graph, wanted, options).changed).toBe(false);
    expect(specFromView(wanted, fromGraph(taken.graph), mark.id)).toEqual({
      nodes: wanted.nodes,
      networks: wanted.networks,
    });
  });

  it("is refused for a node that is to leave its site's network on the way", () => {
    const n3 = { ...fabnet.n3, siteNetwork: false };
    expect(lines({ ...fabnet, n3 })).toEqual([
      "nodes.n3.siteNetwork FAB-ADOPT-DIFFERS the slice has it on FABNET_IPv4_LOSA, the FABNetv4 network of LOSA; leave siteNetwork out",
    ]);
  });

  it("takes a FABNetv4 network by its name, with the card on it, for a node that is on none of its site", () => {
    const nodes = {
      ...fabnet,
      n3: { ...fabnet.n3, siteNetwork: false, nics: { FABNET_IPv4_LOSA_nic: "NIC_Basic" } },
    };
    const named = {
      FABNET_IPv4_LOSA: { type: "FABNetv4", interfaces: [{ node: "n3", nic: "FABNET_IPv4_LOSA_nic" }] },
    };
    const wanted = spec(nodes, named);
    expect(adoptionProblems(slice("fabnet"), wanted, mark).map((p) => problemLine(p))).toEqual([]);
    const options = { mark, ids: elementIds(mark.id), before: Object.keys(nodes), userDataBefore: {} };
    const { graph } = applyChange(slice("fabnet"), wanted, options);
    expect(specFromView(wanted, fromGraph(graph), mark.id)).toEqual({
      nodes: wanted.nodes,
      networks: wanted.networks,
    });
  });
});

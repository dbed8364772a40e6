import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { graphmlLimits, readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { InfraError } from "../../../infra/problem.js";

/** Written by fabric-fim 2.0.0. */
const sample = readFileSync(join(__dirname, "fim-two-sites.graphml"), "utf8");

const code = (xml: string): string => {
  try {
    readGraphml(xml);
  } catch (error) {
    if (error instanceof InfraError) return error.code;
    throw error;
  }
  return "no error";
};

const document = (inner: string, keys = '<key id="d0" for="node" attr.name="Name" attr.type="string"/>') =>
  `<graphml xmlns="http://graphml.graphdrawing.org/xmlns">${keys}<graph edgedefault="undirected">${inner}</graph></graphml>`;

describe("a file written by fabric-fim 2.0.0", () => {
  it("has its 14 nodes and 12 edges", () => {
    const graph = readGraphml(sample);
    expect(graph.nodes).toHaveLength(14);
    expect(graph.edges).toHaveLength(12);
    expect(graph.nodes[0]).toEqual({
      id: "1",
      labels: ":GraphNode:NetworkNode",
      props: {
        GraphID: "3b6dd393-c39e-4698-841f-f20e8dfb703a",
        Class: "NetworkNode",
        NodeID: "3873f40d-5c7b-4dae-87e9-df36e0b42fb6",
        Name: "n1",
        Type: "VM",
        StitchNode: "false",
        Site: "RENC",
        Capacities: '{"core": 2, "disk": 10, "ram": 8}',
        ImageRef: "default_ubuntu_22,qcow2",
      },
    });
    expect(graph.edges[0]).toEqual({ source: "1", target: "3", label: "has", props: { Class: "has" } });
  });

  it("is written back byte for byte, and so again", () => {
    const once = writeGraphml(readGraphml(sample));
    expect(once).toBe(sample.trimEnd());
    expect(writeGraphml(readGraphml(once))).toBe(once);
  });
});

describe("any property graph", () => {
  const text = fc.string({ unit: "binary" }).filter((s) => [...s].every(isXml));
  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.]{0,12}$/);
  const props = fc.dictionary(name, text, { maxKeys: 6, noNullPrototype: true });
  const graphs: fc.Arbitrary<PropertyGraph> = fc
    .tuple(
      fc.array(fc.tuple(fc.option(text, { nil: undefined }), props), { maxLength: 8 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.option(text, { nil: undefined }), props), { maxLength: 8 }),
    )
    .map(([nodes, edges]) => ({
      nodes: nodes.map(([labels, p], i) => ({
        id: String(i),
        ...(labels === undefined ? {} : { labels }),
        props: p,
      })),
      edges:
        nodes.length === 0
          ? []
          : edges.map(([s, t, label, p]) => ({
              source: String(s % nodes.length),
              target: String(t % nodes.length),
              ...(label === undefined ? {} : { label }),
              props: p,
            })),
    }));

  it("is read back equal and written again to the same bytes", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const xml = writeGraphml(graph);
        const back = readGraphml(xml);
        expect(back).toEqual(graph);
        expect(writeGraphml(back)).toBe(xml);
      }),
    );
  });

  it("with a character XML cannot hold is refused with its place", () => {
    expect(() => writeGraphml({ nodes: [{ id: "1", props: { UserData: "a\u0000b" } }], edges: [] })).toThrow(
      /UserData {2}FAB-GRAPHML-CHARACTER.*U\+0000/,
    );
  });
});

describe("what is refused", () => {
  it("document types and entities", () => {
    expect(code(`<!DOCTYPE x [<!ENTITY a "b">]>${document("")}`)).toBe("FAB-GRAPHML-ENTITY");
    expect(code(document('<node id="1"><data key="d0">&nbsp;</data></node>'))).toBe("FAB-GRAPHML-ENTITY");
    expect(code(document('<node id="1"><data key="d0">&#0;</data></node>'))).toBe("FAB-GRAPHML-ENTITY");
    expect(code(document('<node id="1"><data key="d0">&constructor;</data></node>'))).toBe(
      "FAB-GRAPHML-ENTITY",
    );
  });

  it("what is not well formed", () => {
    expect(code("")).toBe("FAB-GRAPHML-XML");
    expect(code("hello")).toBe("FAB-GRAPHML-XML");
    expect(code("<graphml><graph></graphml>")).toBe("FAB-GRAPHML-XML");
    expect(code(sample.slice(0, 4000))).toBe("FAB-GRAPHML-XML");
  });

  it("what is too large, too deep or too much", () => {
    expect(code(" ".repeat(graphmlLimits.bytes + 1))).toBe("FAB-GRAPHML-SIZE");
    expect(code(document(`${"<node>".repeat(50)}${"</node>".repeat(50)}`))).toBe("FAB-GRAPHML-SIZE");
    expect(code(document("<node/>".repeat(graphmlLimits.elements + 1)))).toBe("FAB-GRAPHML-SIZE");
  });

  it("what is no property graph", () => {
    expect(code("<html/>")).toBe("FAB-GRAPHML-FORM");
    expect(code("<graphml/>")).toBe("FAB-GRAPHML-FORM");
    expect(code(document("<node/>"))).toBe("FAB-GRAPHML-FORM");
    expect(code(document('<node id="1"/><node id="1"/>'))).toBe("FAB-GRAPHML-FORM");
    expect(code(document('<node id="1"/><edge source="1" target="2"/>'))).toBe("FAB-GRAPHML-FORM");
    expect(code(document('<node id="1"><data key="d9">x</data></node>'))).toBe("FAB-GRAPHML-FORM");
    expect(code(document('<node id="1"><data key="d0">x</data><data key="d0">y</data></node>'))).toBe(
      "FAB-GRAPHML-FORM",
    );
    expect(code(document('<node id="1"><data key="d0"><b>x</b></data></node>'))).toBe("FAB-GRAPHML-FORM");
  });

  it("keeps CDATA and references as text", () => {
    const graph = readGraphml(
      document('<node id="1"><data key="d0">a&amp;<![CDATA[<b>&amp;]]>&#x41;&#66;</data></node>'),
    );
    expect(graph.nodes[0]?.props).toEqual({ Name: "a&<b>&amp;AB" });
  });
});

function isXml(character: string): boolean {
  const c = character.codePointAt(0) ?? 0;
  return c >= 0x20
    ? c <= 0xd7ff || (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000
    : c === 9 || c === 10 || c === 13;
}

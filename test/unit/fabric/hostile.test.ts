import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FabricApi } from "../../../infra/fabric/api.js";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { JsonBeyondLimits, jsonLimits, parseJson } from "../../../infra/fabric/bounded-json.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { graphProblems } from "../../../infra/fabric/graph-rules.js";
import { graphmlLimits, readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { ownership } from "../../../infra/fabric/mark.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { InfraError } from "../../../infra/problem.js";

/** Documents tried; more with HOSTILE_CASES. */
const numRuns = Number(process.env.HOSTILE_CASES ?? 2000);
const seed = Number(process.env.HOSTILE_SEED ?? 20261122);
/** An input that takes forever fails the test by its limit; the limit leaves room for a busy machine. */
const timeout = 300_000;

const mark = { project: "p", stack: "dev", id: "m1" };
const ids = elementIds(mark.id);
const spec = parseSliceSpec({
  name: "p-dev",
  nodes: {
    aa: { site: "AMST", nics: { fast: "NIC_ConnectX_5" }, storage: ["vol"], bootScript: "echo <é>\n" },
    bb: { site: "LOSA", nics: { fast: "NIC_ConnectX_5" }, components: ["GPU_A30"], userData: { a: [1] } },
  },
  networks: {
    link: {
      type: "L2PTP",
      interfaces: ["aa", "bb"].map((node) => ({ node, nic: "fast", vlan: 100 })),
    },
  },
});
const sound = writeGraphml(toGraph(planTopology(spec), mark, ids));

/** All that is done with a graph of the server. @returns the code it was refused with, or "read" */
function outcome(xml: string): string {
  try {
    const graph = readGraphml(xml);
    ownership(graph, mark);
    fromGraph(graph);
    graphProblems(graph);
    writeGraphml(applyChange(graph, spec, { mark, ids }).graph);
    return "read";
  } catch (error) {
    if (error instanceof InfraError) return error.code;
    throw error;
  }
}

const coded = /^(read|FAB-GRAPHML-(SIZE|ENTITY|XML|FORM|CHARACTER)|FAB-NO-PORT)$/;

describe("GraphML of a hostile server", () => {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const fragment = fc.oneof(
    fc.constantFrom(
      ...[
        "<",
        ">",
        "&",
        '"',
        "</data>",
        "<data key='d0'>",
        "<!DOCTYPE x [",
        "]]>",
        "<![CDATA[",
        "<!--",
        "<?x",
      ],
      ...["&lol;", "&#0;", "&#x110000;", "\u0000", "__proto__", "constructor", "{".repeat(99), "NetworkNode"],
      ...['<edge source="1" target="9" label="has"/>', '<node id="1"/>', '<node id="__proto__"/>', "\ud800"],
    ),
    fc.string({ unit: "binary", maxLength: 12 }),
  );
  const edit = fc.oneof(
    fc.record({ kind: fc.constant("cut" as const), at: place, to: place, text: fc.constant("") }),
    fc.record({ kind: fc.constant("put" as const), at: place, to: place, text: fragment }),
    fc.record({ kind: fc.constant("copy" as const), at: place, to: place, text: fc.constant("") }),
    fc.record({ kind: fc.constant("end" as const), at: place, to: place, text: fc.constant("") }),
  );
  /** Edits near to each other's size: a cut or a copy of up to a hundredth of the document. */
  const broken = (edits: readonly { kind: string; at: number; to: number; text: string }[]) =>
    edits.reduce((xml, { kind, at, to, text }) => {
      const from = Math.floor(at * xml.length);
      const end = from + Math.ceil(to * Math.max(20, xml.length / 100));
      if (kind === "cut") return xml.slice(0, from) + xml.slice(end);
      if (kind === "put") return xml.slice(0, from) + text + xml.slice(from);
      if (kind === "copy") return xml.slice(0, end) + xml.slice(from, end) + xml.slice(end);
      return xml.slice(0, from);
    }, sound);

  it(
    `is read or refused with a code: ${numRuns} broken documents`,
    () => {
      const seen = new Map<string, number>();
      fc.assert(
        fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
          const result = outcome(broken(edits));
          seen.set(result, (seen.get(result) ?? 0) + 1);
          expect(result).toMatch(coded);
        }),
        { numRuns, seed },
      );
      // The edits reach all parts: some are read, and each kind of refusal comes.
      for (const result of ["read", "FAB-GRAPHML-XML", "FAB-GRAPHML-FORM", "FAB-GRAPHML-ENTITY"])
        expect(seen.get(result) ?? 0).toBeGreaterThan(0);
    },
    timeout,
  );

  it(
    `is read or refused with a code: ${Math.ceil(numRuns / 2)} graphs that are no slices`,
    () => {
      const word = fc.constantFrom(
        ...[
          "NetworkNode",
          "Component",
          "NetworkService",
          "ConnectionPoint",
          "Link",
          "VM",
          "FABNetv4",
          "L2PTP",
        ],
        ...[
          "ServicePort",
          "SubInterface",
          "DedicatedPort",
          "SharedPort",
          "SharedNIC",
          "SmartNIC",
          "PortMirror",
        ],
        ...[
          "ConnectX-6",
          "ConnectX-5",
          "Storage",
          "__proto__",
          "constructor",
          "aa",
          "bb",
          "net-amst",
          "AMST",
          "",
        ],
      );
      const json = fc.oneof(
        word,
        fc.json({ maxDepth: 3 }),
        fc.constantFrom('{"__proto__": {"polluted": 1}}', "[".repeat(5000), "null", '{"vlan": {}}', "1e999"),
      );
      const props = fc.dictionary(
        fc.constantFrom("Class", "Type", "Name", "Site", "Model", "NodeID", "__proto__", "GraphID"),
        word,
        { noNullPrototype: true },
      );
      const more = fc.dictionary(
        fc.constantFrom("Labels", "Capacities", "UserData", "CapacityHints", "Gateway", "ReservationInfo"),
        json,
        { noNullPrototype: true },
      );
      const graphs = fc
        .tuple(
          fc.array(fc.tuple(props, more), { maxLength: 14 }),
          fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 40 }),
        )
        .map(([nodes, edges]): PropertyGraph => {
          const all = nodes.map(([a, b], i) => ({ id: String(i), props: { ...a, ...b } }));
          const joined = edges.map(([a, b]) => ({
            source: String(a % Math.max(1, all.length)),
            target: String(b % Math.max(1, all.length)),
            label: "has",
            props: {},
          }));
          return { nodes: all, edges: all.length === 0 ? [] : joined };
        });
      fc.assert(
        fc.property(graphs, (graph) => {
          expect(outcome(writeGraphml(graph))).toMatch(coded);
        }),
        { numRuns: Math.ceil(numRuns / 2), seed },
      );
      expect({}).not.toHaveProperty("polluted");
    },
    timeout,
  );

  const key = '<key id="d0" for="node" attr.name="Class"/><key id="d1" for="node" attr.name="Name"/>';
  const file = (inner: string, before = "") => `${before}<graphml>${key}<graph>${inner}</graph></graphml>`;
  const entities = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join(
    "",
  );
  const many = (n: number, of: (i: number) => string) => Array.from({ length: n }, (_, i) => of(i)).join("");

  it.each([
    [
      "an entity bomb",
      () => file("&l9;", `<!DOCTYPE x [<!ENTITY l0 "lol">${entities}]>`),
      "FAB-GRAPHML-ENTITY",
    ],
    [
      "a file of this machine",
      () => file("&f;", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'),
      "FAB-GRAPHML-ENTITY",
    ],
    [
      "an entity of its own",
      () => file('<node id="1"><data key="d1">&lol;</data></node>'),
      "FAB-GRAPHML-ENTITY",
    ],
    [
      "100 MB of one element",
      () => file(`<desc>${"x".repeat(100 * 1024 * 1024)}</desc>`),
      "FAB-GRAPHML-SIZE",
    ],
    [
      "more elements than are read",
      () => file(many(Math.ceil(graphmlLimits.elements / 1000), () => "<a/>".repeat(1001))),
      "FAB-GRAPHML-SIZE",
    ],
    ["deep nesting", () => file("<a>".repeat(1_000_000)), "FAB-GRAPHML-SIZE"],
    [
      "a million attributes",
      () => file(`<node ${many(1_000_000, (i) => ` a${i}="1"`)}/>`),
      "FAB-GRAPHML-SIZE",
    ],
    ["a tag of spaces without an end", () => file(`<node${" ".repeat(5_000_000)}`), "FAB-GRAPHML-XML"],
    ["an attribute without an end", () => file(`<node id=${"'\"".repeat(2_000_000)}`), "FAB-GRAPHML-XML"],
    ["a name without an end", () => file(`<${"a".repeat(5_000_000)}`), "FAB-GRAPHML-XML"],
    ["comments in comments", () => file("<!-- ".repeat(1_000_000)), "FAB-GRAPHML-XML"],
    ["CDATA without an end", () => file(`<![CDATA[${"]]".repeat(2_000_000)}`), "FAB-GRAPHML-XML"],
    ["bare ampersands", () => file(`<desc>${"&".repeat(1_000_000)}</desc>`), "FAB-GRAPHML-XML"],
    ["a half of it", () => sound.slice(0, sound.length / 2), "FAB-GRAPHML-XML"],
    ["nothing", () => "", "FAB-GRAPHML-XML"],
    ["a control character", () => file("<desc>\u0007</desc>"), "FAB-GRAPHML-XML"],
  ])("%s", (_, xml, code) => expect(outcome(xml())).toBe(code), timeout);

  const node = (i: number, cls: string) =>
    `<node id="${i}"><data key="d0">${cls}</data><data key="d1">n${i}</data></node>`;
  const edge = (a: number, b: number) => `<edge source="${a}" target="${b}"/>`;
  /** Each of `n` elements of one class joined to each of `n` of another. */
  const all = (n: number, one: string, other: string) =>
    file(
      many(n, (i) => node(i, one)) +
        many(n, (i) => node(n + i, other)) +
        many(n * n, (i) => edge(i % n, n + Math.floor(i / n))),
    );

  it.each([
    ["components of many nodes", () => all(300, "NetworkNode", "Component")],
    ["ports of many services", () => all(300, "NetworkService", "ConnectionPoint")],
    ["links of many ports", () => all(300, "ConnectionPoint", "Link")],
    [
      "a link with 50,000 ends",
      () => file(`${node(0, "Link")}${many(50_000, (i) => node(i + 1, "ConnectionPoint") + edge(0, i + 1))}`),
    ],
    [
      "one link named 50,000 times",
      () => file(node(0, "Link") + node(1, "ConnectionPoint") + many(50_000, () => edge(0, 1))),
    ],
  ])("a tangle: %s", (_, xml) => expect(outcome(xml())).toBe("FAB-GRAPHML-FORM"), timeout);

  it(
    "a cycle of all classes is walked once",
    () => {
      const classes = ["NetworkNode", "Component", "NetworkService", "ConnectionPoint", "Link"];
      const ring = many(5000, (i) => node(i, classes[i % 5] ?? "") + (i > 0 ? edge(i - 1, i) : ""));
      expect(outcome(file(`${ring}${edge(4999, 0)}`))).toMatch(coded);
    },
    timeout,
  );
});

describe("JSON of a hostile server", () => {
  it("is read as JSON.parse reads it", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((t) => t.slice(0, -1)),
        ),
        (text) => {
          let expected: unknown;
          try {
            expected = JSON.parse(text);
          } catch {
            expect(() => parseJson(text)).toThrow(SyntaxError);
            return;
          }
          expect(parseJson(text)).toEqual(expected);
        },
      ),
      { numRuns, seed },
    );
  });

  it("counts levels and values, not what stands in texts", () => {
    const inText = JSON.stringify({ a: `${"[{,".repeat(10_000)}\\"\\\\`, b: '"\\' });
    expect(parseJson(inText, { depth: 1, values: 4 })).toEqual(JSON.parse(inText));
    expect(() => parseJson("[[[1]]]", { depth: 2, values: 9 })).toThrow(JsonBeyondLimits);
    expect(() => parseJson("[1,2,3]", { depth: 2, values: 3 })).toThrow(JsonBeyondLimits);
  });

  it.each([
    ["deep lists", () => "[".repeat(30_000_000)],
    ["deep objects", () => '{"a":'.repeat(5_000_000)],
    ["many values", () => `[${"1,".repeat(jsonLimits.values + 1)}1]`],
  ])(
    "%s are refused before they are made",
    (_, text) => {
      expect(() => parseJson(text())).toThrow(JsonBeyondLimits);
    },
    timeout,
  );
});

describe("answers of a hostile server", () => {
  let server: Server;
  let api: FabricApi;
  let status = 200;
  let body = "";
  beforeAll(async () => {
    server = createServer((request, response) => {
      request.resume().on("end", () => response.writeHead(status).end(body));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    api = new FabricApi({ host: `http://127.0.0.1:${port}`, token: () => "a.b.c", readSeconds: 60 });
  });
  afterAll(() => server.close());

  const codeOf = async (work: () => Promise<unknown>): Promise<string> => {
    try {
      await work();
      return "read";
    } catch (error) {
      if (error instanceof InfraError) return error.code;
      throw error;
    }
  };

  it(
    "are read or refused with a code, whatever they hold",
    async () => {
      const slice = fc.dictionary(
        fc.constantFrom("slice_id", "name", "state", "model", "lease_end_time", "sliver_id", "__proto__"),
        fc.oneof(fc.string(), fc.jsonValue({ maxDepth: 2 })),
        { noNullPrototype: true },
      );
      const bodies = fc.oneof(
        fc.json(),
        fc.string(),
        fc
          .record({ data: fc.oneof(fc.array(slice, { maxLength: 3 }), fc.jsonValue()) })
          .map((v) => JSON.stringify(v)),
        fc.record({ errors: fc.oneof(fc.array(slice), fc.jsonValue()) }).map((v) => JSON.stringify(v)),
      );
      await fc.assert(
        fc.asyncProperty(bodies, fc.constantFrom(200, 202, 400, 404, 500), async (text, code) => {
          [status, body] = [code, text];
          // Calls that change something are not tried again, so this is quick.
          expect(await codeOf(() => api.accept("id"))).toMatch(/^(read|FAB-[A-Z-]+)$/);
          expect(
            await codeOf(() => api.createSlice({ name: "abc", graph: "", sshKeys: [], leaseEnd: "" })),
          ).toMatch(/^(read|FAB-[A-Z-]+)$/);
        }),
        { numRuns: Math.ceil(numRuns / 10), seed },
      );
      expect({}).not.toHaveProperty("polluted");
    },
    timeout,
  );

  it.each([
    ["without end", 200, () => "x".repeat(70 * 1024 * 1024)],
    ["nested without end", 200, () => '{"data":'.repeat(1_000_000)],
    ["of too many items", 200, () => `{"data":[${"1,".repeat(60_000)}1]}`],
    ["of a proxy that opens tags only", 500, () => "<".repeat(5_000_000)],
  ])(
    "%s",
    async (_, code, text) => {
      [status, body] = [code, text()];
      expect(await codeOf(() => api.accept("id"))).toMatch(/^FAB-(ANSWER|SERVER)$/);
    },
    timeout,
  );
});

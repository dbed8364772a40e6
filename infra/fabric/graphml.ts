/**
 * GraphML as FABRIC's library (fabric-fim) writes it, both ways.
 *
 * The text comes from a server, so reading is bounded: size, nesting and number of elements have limits, and a document type or an
 * entity of its own is refused (that is how XML bombs are made). Writing gives fim's own layout, so what fim wrote comes back byte for byte.
 */
import { InfraError } from "../problem.js";
import type { GraphEdge, GraphNode, PropertyGraph } from "./graph.js";
import { isXmlCharacter, parseXml, type XmlElement, XmlError } from "./xml.js";

/** Limits of {@link readGraphml}. A slice of 4,000 nodes with cards and networks has 20 MB and some 450,000 XML elements. */
export const graphmlLimits = { bytes: 64 * 1024 * 1024, elements: 1_000_000, depth: 8 } as const;

/**
 * Reads a GraphML document.
 *
 * @throws InfraError `FAB-GRAPHML-SIZE` (too large, too deep, too many elements), `FAB-GRAPHML-ENTITY` (a document type or an
 * entity that XML does not predefine), `FAB-GRAPHML-XML` (not well formed), `FAB-GRAPHML-FORM` (not a property graph).
 */
export function readGraphml(xml: string): PropertyGraph {
  const root = rootOf(xml);
  if (root.tag !== "graphml") throw form("graphml", `the root element is <${root.tag}>, not <graphml>`);
  const keys = readKeys(root);
  const graphs = root.children.filter((c) => c.tag === "graph");
  const graph = graphs[0];
  if (graph === undefined || graphs.length > 1)
    throw form("graphml", `${graphs.length} <graph> elements, one was expected`);

  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const ids = new Set<string>();
  for (const child of graph.children) {
    if (child.tag === "node") {
      const node = readNode(child, keys);
      if (ids.has(node.id)) throw form(`node ${node.id}`, "two nodes have this id");
      ids.add(node.id);
      nodes.push(node);
    } else if (child.tag === "edge") edges.push(readEdge(child, keys));
    else if (child.tag === "hyperedge") throw form("graph", "a <hyperedge>, which FABRIC does not use");
    // <desc> and graph-wide <data> say nothing about a slice.
  }
  for (const edge of edges) {
    for (const end of [edge.source, edge.target]) {
      if (!ids.has(end)) throw form(`edge ${edge.source} to ${edge.target}`, `there is no node ${end}`);
    }
  }
  return { nodes, edges };
}

/**
 * Writes a graph in the layout of fabric-fim 2.0.0: keys numbered as they first appear and listed last first, no XML declaration.
 *
 * @throws InfraError `FAB-GRAPHML-CHARACTER` for a character that XML cannot hold.
 */
export function writeGraphml(graph: PropertyGraph): string {
  const table = new KeyTable();
  const body: string[] = [];
  const write = (
    tag: string,
    attributes: [string, string | undefined][],
    domain: Domain,
    props: Readonly<Record<string, string>>,
  ) => {
    const data = Object.entries(props).map(([name, value]) => dataLine(table.id(domain, name), value, name));
    const open = `    <${tag}${attributes.map(([k, v]) => (v === undefined ? "" : ` ${k}="${attributeText(v)}"`)).join("")}`;
    if (data.length === 0) body.push(`${open}/>`);
    else body.push(`${open}>`, ...data, `    </${tag}>`);
  };
  for (const n of graph.nodes) {
    write(
      "node",
      [
        ["id", n.id],
        ["labels", n.labels],
      ],
      "node",
      n.props,
    );
  }
  for (const e of graph.edges) {
    write(
      "edge",
      [
        ["source", e.source],
        ["target", e.target],
        ["label", e.label],
      ],
      "edge",
      e.props,
    );
  }
  return [
    HEADER,
    ...table.lines(),
    '  <graph edgedefault="undirected">',
    ...body,
    "  </graph>",
    "</graphml>",
  ].join("\n");
}

const NAMESPACE = "http://graphml.graphdrawing.org/xmlns";
const HEADER =
  `<graphml xmlns="${NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ` +
  `xsi:schemaLocation="${NAMESPACE} ${NAMESPACE}/1.0/graphml.xsd">`;

type Domain = "node" | "edge";

/** Property names to key ids; nodes and edges have keys of their own, as in fim's files. */
class KeyTable {
  readonly #keys: { domain: Domain; name: string }[] = [];
  readonly #ids: Record<Domain, Map<string, string>> = { node: new Map(), edge: new Map() };

  id(domain: Domain, name: string): string {
    const known = this.#ids[domain].get(name);
    if (known !== undefined) return known;
    const id = `d${this.#keys.length}`;
    this.#keys.push({ domain, name });
    this.#ids[domain].set(name, id);
    return id;
  }

  lines(): string[] {
    return this.#keys
      .map(
        (k, i) =>
          `  <key id="d${i}" for="${k.domain}" attr.name="${attributeText(k.name)}" attr.type="string"/>`,
      )
      .reverse();
  }
}

function dataLine(key: string, value: string, name: string): string {
  const text = elementText(value, name);
  return text === "" ? `      <data key="${key}"/>` : `      <data key="${key}">${text}</data>`;
}

function elementText(value: string, place: string): string {
  return (
    checked(value, place)
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll("\r", "&#13;")
      // As fim does, so that no encoding on the way matters.
      .replace(/[\u{80}-\u{10ffff}]/gu, (character) => `&#${character.codePointAt(0)};`)
  );
}

function attributeText(value: string): string {
  return elementText(value, "attribute")
    .replaceAll('"', "&quot;")
    .replaceAll("\t", "&#9;")
    .replaceAll("\n", "&#10;");
}

function checked(value: string, place: string): string {
  for (const character of value) {
    const code = character.codePointAt(0) ?? 0;
    if (isXmlCharacter(code)) continue;
    throw new InfraError({
      code: "FAB-GRAPHML-CHARACTER",
      path: place,
      message: `the character U+${code.toString(16).toUpperCase().padStart(4, "0")} cannot be written in XML`,
      remedy: "remove it",
    });
  }
  return value;
}

type Keys = ReadonlyMap<string, string>;

function readKeys(root: XmlElement): Keys {
  const keys = new Map<string, string>();
  for (const key of root.children) {
    if (key.tag !== "key") continue;
    const id = key.attributes.id;
    if (id === undefined) throw form("key", "a <key> without an id");
    if (keys.has(id)) throw form(`key ${id}`, "two keys have this id");
    if (key.children.some((c) => c.tag === "default"))
      throw form(`key ${id}`, "a default value, which FABRIC does not use");
    keys.set(id, key.attributes["attr.name"] ?? id);
  }
  return keys;
}

function readNode(element: XmlElement, keys: Keys): GraphNode {
  const { id, labels } = element.attributes;
  if (id === undefined) throw form("node", "a <node> without an id");
  const props = readData(element, keys, `node ${id}`);
  return labels === undefined ? { id, props } : { id, labels, props };
}

function readEdge(element: XmlElement, keys: Keys): GraphEdge {
  const { source, target, label } = element.attributes;
  if (source === undefined || target === undefined) throw form("edge", "an <edge> without source or target");
  const props = readData(element, keys, `edge ${source} to ${target}`);
  return label === undefined ? { source, target, props } : { source, target, label, props };
}

function readData(element: XmlElement, keys: Keys, place: string): Record<string, string> {
  const entries = new Map<string, string>();
  for (const child of element.children) {
    if (child.tag === "desc") continue;
    if (child.tag !== "data") throw form(place, `a <${child.tag}>, which FABRIC does not use`);
    const key = child.attributes.key;
    const name = key === undefined ? undefined : keys.get(key);
    if (name === undefined) throw form(place, `<data> with the unknown key ${JSON.stringify(key)}`);
    if (child.children.length > 0) throw form(`${place}.${name}`, "elements inside <data>");
    if (entries.has(name)) throw form(`${place}.${name}`, "the property is there twice");
    entries.set(name, child.text);
  }
  // fromEntries defines own properties, so a property named __proto__ is only a property.
  return Object.fromEntries(entries);
}

function rootOf(xml: string): XmlElement {
  if (Buffer.byteLength(xml) > graphmlLimits.bytes)
    throw tooLarge(`more than ${graphmlLimits.bytes / 1024 / 1024} MB`);
  try {
    return parseXml(xml, graphmlLimits);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    const { fault, message, line } = error;
    if (fault === "limit") throw tooLarge(message);
    if (fault === "form") throw notXml(`${message} (line ${line})`);
    throw new InfraError({
      code: "FAB-GRAPHML-ENTITY",
      message: `GraphML with entities of its own is not read: ${message} (line ${line})`,
      remedy: "nothing was changed; ask FABRIC's support, such a document is not one of its own",
    });
  }
}

function tooLarge(what: string): InfraError {
  return new InfraError({ code: "FAB-GRAPHML-SIZE", message: `the GraphML is beyond its limits: ${what}` });
}

function notXml(what: string): InfraError {
  return new InfraError({ code: "FAB-GRAPHML-XML", message: `the GraphML is not well formed: ${what}` });
}

function form(path: string, what: string): InfraError {
  return new InfraError({
    code: "FAB-GRAPHML-FORM",
    path,
    message: `not a property graph as FABRIC writes it: ${what}`,
  });
}

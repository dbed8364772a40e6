/**
 * The words of FABRIC's information model (fabric-fim 2.0.0) that a slice's graph uses, and its JSON-in-text properties.
 */
import { parseJson } from "./bounded-json.js";
import type { GraphNode } from "./graph.js";

/** Values of the `Class` property. */
export const fimClass = {
  node: "NetworkNode",
  component: "Component",
  service: "NetworkService",
  port: "ConnectionPoint",
  link: "Link",
} as const;

/** Values of the `Type` property that this library writes. */
export const fimType = {
  vm: "VM",
  sharedNic: "SharedNIC",
  ovs: "OVS",
  sharedPort: "SharedPort",
  servicePort: "ServicePort",
  fabnetv4: "FABNetv4",
  l2Path: "L2Path",
  p4: "P4",
  dedicatedPort: "DedicatedPort",
  subInterface: "SubInterface",
  patch: "Patch",
} as const;

/** No property of a slice comes near; one beyond says nothing, as a broken one. */
const propertyLimits = { depth: 32, values: 10_000 } as const;

/** Most characters of a UserData text. Source: fim/slivers/json_data.py. */
export const userDataLimit = 2048;

/** FIM's `Capacities`: cores, RAM and disk in GB, bandwidth in Gbps. A zero is left out. */
export interface Capacities {
  readonly core?: number;
  readonly ram?: number;
  readonly disk?: number;
  readonly bw?: number;
  readonly unit?: number;
}

/**
 * JSON as Python's `json.dumps(value, sort_keys=True)` writes it, which is what FIM puts into properties: sorted keys, a space after
 * each colon and comma, ASCII only.
 */
export function fimJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(fimJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${entries.map(([k, v]) => `${fimJson(k)}: ${fimJson(v)}`).join(", ")}}`;
  }
  const text = JSON.stringify(value) ?? "null";
  return text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A JSON property of an element as an object; empty when it is missing or not a JSON object. */
export function jsonProperty(node: GraphNode, name: string): Readonly<Record<string, unknown>> {
  const text = node.props[name];
  if (text === undefined || text === "") return {};
  try {
    const value = parseJson(text, propertyLimits);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {}; // other people's UserData may hold anything; a broken property says nothing to us
  }
}

/** A text inside a JSON property, e.g. `textIn(port, "Labels", "ipv4")`. */
export function textIn(node: GraphNode, property: string, field: string): string | undefined {
  const value = jsonProperty(node, property)[field];
  return typeof value === "string" ? value : undefined;
}

/** A number inside a JSON property; 0 when it is left out, as FIM does with zeros. */
export function numberIn(node: GraphNode, property: string, field: string): number {
  const value = jsonProperty(node, property)[field];
  return typeof value === "number" ? value : 0;
}

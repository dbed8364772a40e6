import { fimClass, jsonProperty } from "./fim.js";
import type { GraphNode, PropertyGraph } from "./graph.js";

/** Whose a slice is: written into each node's user data before the slice is submitted (DESIGN 3). */
export interface SliceMark {
  readonly project: string;
  readonly stack: string;
  /** Random, made once for a slice; what is compared. */
  readonly id: string;
}

/** The key in UserData. FABlib keeps its own beside it (`fablib_data`). */
export const markKey = "dynamos_fabric";

/** The mark that an element bears, if any. */
export function markOfElement(element: GraphNode): SliceMark | undefined {
  const value = jsonProperty(element, "UserData")[markKey];
  if (typeof value !== "object" || value === null) return undefined;
  const { project, stack, id } = value as Record<string, unknown>;
  if (typeof project !== "string" || typeof stack !== "string" || typeof id !== "string") return undefined;
  return { project, stack, id };
}

/** Whose a slice is, as its graph says. */
export type Ownership = "ours" | "unmarked" | "foreign" | "empty";

/**
 * `ours` when a node bears our mark and none another's; `foreign` when some node bears another's; `unmarked` when there are nodes without any;
 * `empty` when there is no node that could bear one.
 */
export function ownership(graph: PropertyGraph, mark: SliceMark): Ownership {
  const nodes = graph.nodes.filter((n) => n.props.Class === fimClass.node);
  const marks = nodes.map(markOfElement).filter((m) => m !== undefined);
  if (marks.some((m) => m.id !== mark.id)) return "foreign";
  if (marks.length > 0) return "ours";
  return nodes.length === 0 ? "empty" : "unmarked";
}

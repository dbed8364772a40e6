/**
 * Taking over a slice that another tool made changes nothing of it but our mark: what the specification says otherwise is an error beforehand, since the
 * preview of a slice that is not in the state yet could not show that a machine would be replaced. Pure.
 */
import { InfraError, type Problem } from "../problem.js";
import { pathText } from "../problems-of-schema.js";
import { applyChange } from "./apply-change.js";
import { nodeOf } from "./drift.js";
import { elementIds } from "./element-ids.js";
import { fimClass, fimJson, fimType, userDataLimit } from "./fim.js";
import { GraphIndex, type GraphNode, type PropertyGraph } from "./graph.js";
import type { SliceMark } from "./mark.js";
import { cardNameOf, fromGraph, type NodeView } from "./slice-view.js";
import type { NodeSpec, SliceSpec } from "./spec.js";
import { imageRef } from "./topology.js";
import { componentNamesOf } from "./topology-names.js";

const code = "FAB-ADOPT-DIFFERS";

/** @throws InfraError FAB-ADOPT-DIFFERS with all that the specification says otherwise than the slice */
export function mustAdoptUnchanged(slice: PropertyGraph, spec: SliceSpec, mark: SliceMark): void {
  const problems = adoptionProblems(slice, spec, mark);
  if (problems.length > 0) throw new InfraError(problems);
}

/** The error of an `adopt` that no slice of the specification's name has; `foundAs` is what the slice of that id is called, where there is one. */
export function notToAdopt(id: string, foundAs: string | undefined, name: string): InfraError {
  return new InfraError(
    foundAs === undefined || foundAs === name
      ? {
          code: "FAB-ADOPT-GONE",
          path: "adopt",
          message: `slice ${id}, which is to be taken over, is not there or has ended`,
          remedy: "correct the id, or leave adopt out to make a new slice",
        }
      : {
          code: "FAB-ADOPT-NAME",
          path: "adopt",
          message: `slice ${id} is called ${foundAs}, this one ${name}`,
          remedy: `give this slice the name ${foundAs} (FabricSlice: sliceName)`,
        },
  );
}

/** What of a slice a specification would change beside the mark; empty when it can be taken over. */
export function adoptionProblems(slice: PropertyGraph, spec: SliceSpec, mark: SliceMark): readonly Problem[] {
  const there = fromGraph(slice, new Set(Object.keys(spec.networks ?? {}))).nodes;
  const machines = [
    ...there.flatMap((node) => differences(node, own(spec.nodes, node.name))),
    ...Object.keys(spec.nodes)
      .filter((name) => !there.some((n) => n.name === name))
      .map((name) => ({
        code,
        path: `nodes.${name}`,
        message: "the slice has no such node",
        remedy: "leave it out until the slice is taken over, then add it",
      })),
  ];
  // What is wrong with a machine makes much else look different.
  return machines.length > 0 ? machines : restOf(slice, spec, mark);
}

function differences(there: NodeView, wanted: NodeSpec | undefined): Problem[] {
  const path = `nodes.${there.name}`;
  if (wanted === undefined)
    return [{ code, path, message: "missing; the slice has it", remedy: `write ${inWords(nodeOf(there))}` }];
  const has = nodeOf(there);
  const problem = (key: string, asked: unknown, found: unknown): Problem => ({
    code,
    path: `${path}.${key}`,
    message: `${text(asked)} asked, the slice has ${text(found)}`,
    remedy: found === undefined ? "leave it out" : `write ${key}: ${text(found)}`,
  });
  const sizes = (["site", "cores", "ram", "disk"] as const)
    .filter((key) => wanted[key] !== has[key])
    .map((key) => problem(key, wanted[key], has[key]));
  const image =
    imageRef(wanted.image) === has.image ? [] : [problem("image", wanted.image, shortImage(has.image))];
  const chosen = (["host", "bootScript"] as const)
    .filter((key) => wanted[key] !== undefined && wanted[key] !== has[key])
    .map((key) => problem(key, wanted[key], has[key]));
  const sorted = (list: readonly string[] | undefined) => [...(list ?? [])].sort();
  const lists = (["components", "storage"] as const)
    .filter((key) => fimJson(sorted(wanted[key])) !== fimJson(sorted(has[key])))
    .map((key) => problem(key, sorted(wanted[key]), sorted(has[key])));
  const joined = there.siteNetwork === undefined;
  const network: Problem = {
    code,
    path: `${path}.siteNetwork`,
    message: `the slice has it on ${joined ? `${there.network}, the` : "no"} FABNetv4 network of ${there.site}`,
    remedy: joined ? "leave siteNetwork out" : "write siteNetwork: false",
  };
  const same = wanted.siteNetwork === there.siteNetwork;
  return [...sizes, ...image, ...chosen, ...lists, ...(same ? [] : [network])];
}

/** Cards and networks: whatever else the change would add or remove. */
function restOf(slice: PropertyGraph, spec: SliceSpec, mark: SliceMark): Problem[] {
  const { graph } = applyChange(slice, spec, { mark, ids: elementIds(mark.id), userDataBefore: {} });
  const before = byNodeId(slice);
  const after = byNodeId(graph);
  const place = placesIn([slice, graph], spec);
  const only = (some: ReadonlyMap<string, GraphNode>, others: ReadonlyMap<string, GraphNode>) =>
    [...some].filter(([id]) => !others.has(id)).map(([, element]) => element);
  const full = [...after.values()]
    .filter(({ props }) => [...(props.UserData ?? "")].length > userDataLimit)
    .map(({ props }) => ({
      code: "FAB-USER-DATA-TOO-LARGE",
      path: `nodes.${props.Name}.userData`,
      message: `with our mark and what others keep there more than ${userDataLimit} characters`,
      remedy: "write less into it, here or with FABlib",
    }));
  const changed = [...before].flatMap(([id, element]) => {
    const now = after.get(id);
    return now === undefined || withoutUserData(now) === withoutUserData(element) ? [] : [element];
  });
  return [
    ...full,
    ...tell(only(before, after), place, {
      message: "the slice has it, and it would be removed",
      remedy: "name it as the slice has it",
    }),
    ...tell(only(after, before), place, {
      message: "it would be added to the slice",
      remedy: "add it once the slice is taken over",
    }),
    ...tell(changed, place, {
      message: "it would be changed",
      remedy: "leave it as the slice has it until then",
    }),
  ];
}

/** A line each for networks and cards; ports and links only when there is nothing else to name. */
function tell(
  elements: readonly GraphNode[],
  place: (element: GraphNode) => string,
  { message, remedy }: { readonly message: string; readonly remedy: string },
): Problem[] {
  const large = elements.filter(
    ({ props }) =>
      props.Class === fimClass.component || (props.Class === fimClass.service && props.Type !== fimType.ovs),
  );
  return (large.length > 0 ? large : elements.slice(0, 1)).map((element) => ({
    code,
    path: place(element),
    message: `${[element.props.Type, element.props.Model].filter(Boolean).join(" ")}: ${message}`,
    remedy,
  }));
}

/** Where one would write an element: a network, or a component at its node. What stands nowhere is called by its own name. */
function placesIn(graphs: readonly PropertyGraph[], spec: SliceSpec): (element: GraphNode) => string {
  const indexes = graphs.map((graph) => new GraphIndex(graph));
  const nodeOfCard = (card: GraphNode) =>
    indexes.flatMap((index) =>
      index.graph.nodes.includes(card) ? index.around(card, fimClass.node) : [],
    )[0];
  return (element) => {
    const { Class, Name = "" } = element.props;
    if (Class === fimClass.service) return pathText(["networks", Name]);
    const node = Class === fimClass.component ? nodeOfCard(element) : undefined;
    const name = node?.props.Name;
    if (node === undefined || name === undefined) return Name;
    const wanted = own(spec.nodes, name);
    const written = (wanted === undefined ? [] : componentNamesOf(name, wanted)).find(
      ({ component, at }) => component === Name && at.length > 0,
    );
    return pathText(["nodes", name, ...(written?.at ?? ["nics", cardNameOf(element, node)])]);
  };
}

function byNodeId(graph: PropertyGraph): ReadonlyMap<string, GraphNode> {
  return new Map(graph.nodes.map((n) => [n.props.NodeID ?? n.id, n]));
}

function withoutUserData({ props: { UserData: _, ...rest } }: GraphNode): string {
  return fimJson(rest);
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** FABRIC's image without the format that is understood anyway. */
function shortImage(image: string): string {
  return image.replace(/,qcow2$/, "");
}

/** A node to be copied: all of it that must be said. */
function inWords({
  site,
  cores,
  ram,
  disk,
  image,
  components,
  nics,
  storage,
  siteNetwork,
}: NodeSpec): string {
  return text({
    ...{ site, cores, ram, disk, image: shortImage(image), siteNetwork, nics, storage },
    ...(components.length === 0 ? {} : { components }),
  });
}

/** A value as one would write it in a program. */
function text(value: unknown): string {
  return (
    JSON.stringify(value)
      ?.replace(/"([A-Za-z]\w*)":/g, "$1: ")
      .replaceAll(",", ", ") ?? "nothing"
  );
}

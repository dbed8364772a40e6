/** The specification as the slice on the server would have it, so that drift shows at preview. Pure. */
import { plannedCards, serviceGeneration } from "./card-graph.js";
import { fimJson } from "./fim.js";
import type { NetworkSpec } from "./network-spec.js";
import { networkTypes } from "./network-spec.js";
import type { NodeSpec } from "./node-spec.js";
import type { NodeView, Reservation, ServiceView, SliceView } from "./slice-view.js";
import { type PlannedService, planTopology, sameMachine } from "./topology.js";

interface Specs {
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
  readonly networks?: Readonly<Record<string, NetworkSpec>> | undefined;
}

/**
 * Nodes and networks of a slice as FABRIC has them. What is as it was keeps its old words; what failed is left out: the next preview shows that it
 * will be made. Of what the old specification does not name, only nodes with our mark are taken.
 */
export function specFromView(
  olds: Specs,
  view: SliceView,
  markId: string,
): { readonly nodes: Record<string, NodeSpec>; readonly networks?: Record<string, NetworkSpec> } {
  const old = planTopology(olds);
  const cards = plannedCards(old);
  const kept = new Set<string>();
  const networks = view.services
    .filter(({ reservation }) => isThere(reservation))
    .flatMap((service): [string, NetworkSpec][] => {
      const plan = old.services.find((s) => s.name === service.name);
      const words = plan === undefined ? undefined : olds.networks?.[plan.name];
      if (plan === undefined || words === undefined) return [];
      if (!isService(plan, service)) return networkOf(service);
      kept.add(plan.name);
      return [[plan.name, words]];
    });
  const ownCards = new Set(
    old.services
      .filter((s) => kept.has(s.name))
      .flatMap((s) => s.interfaces.filter((i) => i.ownCard).map((i) => `${i.node}\n${i.card}`)),
  );
  const nodes = view.nodes
    .filter((n) => n.mark?.id === markId || Object.hasOwn(olds.nodes, n.name))
    .filter((n) => isThere(n.reservation))
    .map((seen): [string, NodeSpec] => {
      const spec = Object.hasOwn(olds.nodes, seen.name) ? olds.nodes[seen.name] : undefined;
      const n = spec === undefined ? seen : withoutOthersData(seen, spec);
      const wanted = Object.fromEntries((cards.get(n.name) ?? []).map((c) => [c.name, c.model]));
      if (spec !== undefined && saysTheSame(spec, wanted, n)) return [n.name, spec];
      // A card that a network brings is not the node's own wish.
      const nics = Object.entries(n.nics ?? {}).filter(([card]) => !ownCards.has(`${n.name}\n${card}`));
      return [n.name, nodeOf(n, Object.fromEntries(nics))];
    });
  return {
    nodes: Object.fromEntries(nodes),
    ...(olds.networks === undefined ? {} : { networks: Object.fromEntries(networks) }),
  };
}

/** A node with those of its user data that the specification writes: other keys are other tools', which come and go. */
function withoutOthersData(view: NodeView, { userData }: NodeSpec): NodeView {
  const ours = Object.entries(view.userData).filter(([key]) => Object.hasOwn(userData, key));
  return { ...view, userData: Object.fromEntries(ours) };
}

function isThere({ state }: Reservation): boolean {
  return state !== "Failed" && state !== "Closed";
}

function saysTheSame(old: NodeSpec, cards: Readonly<Record<string, string>>, view: NodeView): boolean {
  return (
    sameMachine(old, view) &&
    old.siteNetwork === view.siteNetwork &&
    [...old.components].sort().join() === view.components.join() &&
    fimJson(cards) === fimJson(view.nics ?? {}) &&
    [...(old.storage ?? [])].sort().join("\n") === (view.storage ?? []).join("\n") &&
    fimJson(old.userData) === fimJson(view.userData)
  );
}

function isService(plan: PlannedService, view: ServiceView): boolean {
  const interfaces = plan.interfaces.map(({ ownCard: _, ...i }) => i);
  return (
    serviceGeneration(plan) === serviceGeneration(view) && fimJson(interfaces) === fimJson(view.interfaces)
  );
}

/** A node in the words of a specification. */
export function nodeOf(view: NodeView, nics: Readonly<Record<string, string>> = view.nics ?? {}): NodeSpec {
  const { site, cores, ram, disk, image, components, userData } = view;
  const { instanceType, host, bootScript, storage, siteNetwork } = view;
  return {
    ...{ site, cores, ram, disk, image },
    components: [...components],
    userData: { ...userData } as NodeSpec["userData"],
    ...(instanceType === undefined ? {} : { instanceType }),
    ...(host === undefined ? {} : { host }),
    ...(bootScript === undefined ? {} : { bootScript }),
    ...(Object.keys(nics).length === 0 ? {} : { nics: { ...nics } }),
    ...(storage === undefined ? {} : { storage: [...storage] }),
    ...(siteNetwork === undefined ? {} : { siteNetwork }),
  };
}

/** A network in the words of a specification; none for a type that cannot be written. */
export function networkOf({ name, type, bandwidth, interfaces }: ServiceView): [string, NetworkSpec][] {
  const known = networkTypes.find((t) => t === type);
  if (known === undefined) return [];
  const joined = interfaces.map(({ node, card, port, vlan }) => ({
    node,
    nic: card,
    ...(port === 1 ? {} : { port }),
    ...(vlan === undefined ? {} : { vlan }),
  }));
  return [[name, { type: known, interfaces: joined, ...(bandwidth === undefined ? {} : { bandwidth }) }]];
}

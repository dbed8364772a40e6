import type { Problem } from "../infra/problem.js";

/** What a node is for. */
export const ROLES = ["control", "core", "agent", "thirdParty"] as const;
export type NodeRole = (typeof ROLES)[number];

/** One party's agent and the node it runs on. */
export interface AgentPlace {
  /** As agreements name it. */
  readonly party: string;
  readonly node: string;
  readonly role: "agent" | "thirdParty";
  /** The folder on the node with its data, where it is not the experiment's. */
  readonly data?: string;
}

/** Who runs where: what follows from the nodes' roles. */
export interface Placement {
  /** The node of broker, store, orchestrator, policy enforcer and gateway. */
  readonly core: string;
  /** By party's name. */
  readonly agents: readonly AgentPlace[];
}

/** What the names of agents' processes begin with. */
export const AGENT_PREFIX = "agent-";

/** The name of an agent's process, its broker user and its log. */
export const agentService = (party: string): string => `${AGENT_PREFIX}${party.toLowerCase()}`;

/** The node that the outside world (FABRIC's emulator) runs on; no node of a marketplace may take this name. */
export const OUTSIDE_NODE = "fabric";

/** Who runs where. Takes a specification without problems. */
export function placementOf(spec: {
  readonly nodes: Readonly<
    Record<
      string,
      { readonly role: NodeRole; readonly party?: string | undefined; readonly data?: string | undefined }
    >
  >;
}): Placement {
  const nodes = Object.entries(spec.nodes);
  const agents = nodes.flatMap(([node, { role, party, data }]): AgentPlace[] =>
    role === "agent" || role === "thirdParty"
      ? [{ party: party ?? node, node, role, ...(data === undefined ? {} : { data }) }]
      : [],
  );
  const core = nodes.find(([, node]) => node.role === "core")?.[0];
  if (core === undefined) throw new RangeError("a specification without a core has not been checked");
  return { core, agents: agents.sort((a, b) => (a.party < b.party ? -1 : 1)) };
}

/** A node as written, before anything about it is known to be right. */
interface Written {
  readonly name: string;
  readonly role?: NodeRole;
  readonly party?: string;
  readonly site?: unknown;
  readonly host?: unknown;
  readonly siteNetwork?: unknown;
}

/**
 * What is wrong with the nodes together. Takes the object as written, so that these problems come together with those of its form.
 *
 * Codes: SPEC-NODE-TWICE, SPEC-NODE-RESERVED, SPEC-NO-CORE, SPEC-CORE-TWICE, SPEC-PARTY-TWICE, SPEC-PARTY-ROLE, SPEC-NODE-NO-SITE,
 * SPEC-NODE-NO-HOST, SPEC-NODE-NO-NETWORK, SPEC-EXPERIMENT-PATH.
 */
export function placementProblems(raw: unknown): Problem[] {
  if (!isRecord(raw)) return [];
  const experiment = experimentProblems(raw.experiment);
  const written = raw.nodes;
  if (!isRecord(written)) return experiment;
  const nodes = Object.entries(written).map(
    ([name, value]): Written => ({ ...(isRecord(value) ? value : {}), name }),
  );
  return [
    ...experiment,
    ...nameProblems(nodes),
    ...coreProblems(nodes),
    ...partyProblems(nodes),
    ...placeProblems(nodes, raw.target ?? "local"),
    ...networkProblems(nodes, raw.target),
  ];
}

function experimentProblems(folder: unknown): Problem[] {
  if (typeof folder !== "string" || !/^([/\\~]|[A-Za-z]:)/.test(folder)) return [];
  return [
    {
      code: "SPEC-EXPERIMENT-PATH",
      path: "experiment",
      message: `"${folder}" is a path of this machine only`,
      remedy: "give it relative to the folder of Pulumi.yaml, so that the stack means the same everywhere",
    },
  ];
}

function nameProblems(nodes: readonly Written[]): Problem[] {
  const twice = repeated(nodes, (n) => n.name).map(([node, first]) => ({
    code: "SPEC-NODE-TWICE",
    path: `nodes.${node.name}`,
    message: `two nodes of one name: ${first.name} and ${node.name} differ only by case`,
    remedy: "give one of them another name",
  }));
  const reserved = nodes
    .filter((n) => n.name === OUTSIDE_NODE)
    .map((n) => ({
      code: "SPEC-NODE-RESERVED",
      path: `nodes.${n.name}`,
      message: `"${n.name}" names FABRIC itself`,
      remedy: "give the node another name",
    }));
  return [...twice, ...reserved];
}

function coreProblems(nodes: readonly Written[]): Problem[] {
  const cores = nodes.filter((n) => n.role === "core").map((n) => n.name);
  if (cores.length === 0) {
    return [
      {
        code: "SPEC-NO-CORE",
        path: "nodes",
        message: "no node has the role core",
        remedy: "add one, e.g. core: { role: core, site: AMST }",
      },
    ];
  }
  return cores.slice(1).map((name) => ({
    code: "SPEC-CORE-TWICE",
    path: `nodes.${name}.role`,
    message: `${cores[0]} is the core already`,
    remedy: "one marketplace has one core; give this node another role",
  }));
}

function partyProblems(nodes: readonly Written[]): Problem[] {
  const agents = nodes.filter((n) => n.role === "agent" || n.role === "thirdParty");
  const partyOf = (n: Written): string => (typeof n.party === "string" ? n.party : n.name);
  const pathOf = (n: Written): string =>
    typeof n.party === "string" ? `nodes.${n.name}.party` : `nodes.${n.name}`;
  const twice = repeated(agents, partyOf)
    .filter(([node, first]) => partyOf(node) !== node.name || partyOf(first) !== first.name)
    .map(([node, first]) => ({
      code: "SPEC-PARTY-TWICE",
      path: pathOf(node),
      message: `party ${partyOf(node)} has an agent on ${first.name} already`,
      remedy: "a party has one agent; name another party here",
    }));
  const idle = nodes
    .filter((n) => n.party !== undefined && (n.role === "core" || n.role === "control"))
    .map((n) => ({
      code: "SPEC-PARTY-ROLE",
      path: `nodes.${n.name}.party`,
      message: `a node of role ${n.role} runs no agent`,
      remedy: "remove party, or make the role agent or thirdParty",
    }));
  return [...twice, ...idle];
}

function placeProblems(nodes: readonly Written[], target: unknown): Problem[] {
  if (target === "local" || target === "fabric") {
    return nodes
      .filter((n) => n.site === undefined)
      .map((n) => ({
        code: "SPEC-NODE-NO-SITE",
        path: `nodes.${n.name}.site`,
        message: "missing",
        remedy: "name a FABRIC site, e.g. AMST (all: dynamos-fabric sites)",
      }));
  }
  if (target === "hosts" || target === "kubernetes") {
    return nodes
      .filter((n) => n.host === undefined)
      .map((n) => ({
        code: "SPEC-NODE-NO-HOST",
        path: `nodes.${n.name}.host`,
        message: "missing",
        remedy: "name the host's address, or the cluster's node",
      }));
  }
  return [];
}

/** The core, the parties and a cluster's control plane reach each other by their addresses on the sites' networks. */
function networkProblems(nodes: readonly Written[], target: unknown): Problem[] {
  return nodes
    .filter((n) => n.siteNetwork === false && n.role !== undefined)
    .filter((n) => n.role !== "control" || target === "fabric")
    .map((n) => ({
      code: "SPEC-NODE-NO-NETWORK",
      path: `nodes.${n.name}.siteNetwork`,
      message: `a node of role ${n.role} is reached by its address on the network of its site, and would have none`,
      remedy: "leave siteNetwork out",
    }));
}

/** Those whose name, case aside, an earlier one has, each with that one. */
function repeated(
  nodes: readonly Written[],
  nameOf: (node: Written) => string,
): (readonly [node: Written, first: Written])[] {
  const seen = new Map<string, Written>();
  return nodes.flatMap((node) => {
    const first = seen.get(nameOf(node).toLowerCase());
    if (first !== undefined) return [[node, first] as const];
    seen.set(nameOf(node).toLowerCase(), node);
    return [];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

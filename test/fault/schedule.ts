/**
 * What one schedule does, drawn from its seed: operations on a slice, what is killed where, and how the server misbehaves meanwhile. Pure: the same seed
 * gives the same schedule.
 */
import { type Draw, drawFrom } from "./draw.js";

/** Calls of FABRIC's API as the product makes them. */
export type CallName = "create" | "modify" | "accept" | "renew" | "delete" | "list" | "slice" | "slivers";

/** `all`: the engine and everything below it at the same moment, as when the machine loses its power. */
export type Victim = "engine" | "provider" | "program" | "emulator" | "all";

/**
 * When the blow falls. For a call: `arrives` before the server sees it, `taken` as the server gets it, `answered` when the server has answered and nobody
 * has read it, `read` after the answer has gone out. A `checkpoint` is the engine's n-th write of its state in the run; `ms` counts from the run's start.
 */
export type Moment =
  | { readonly call: CallName; readonly n: number; readonly phase: "arrives" | "taken" | "answered" | "read" }
  | { readonly checkpoint: number }
  | { readonly ms: number };

export interface Blow {
  readonly victim: Victim;
  readonly at: Moment;
  /** Milliseconds after which a killed emulator is started again. */
  readonly back: number;
}

/** How the server misbehaves on the n-th to the (n + times - 1)-th call of a name. */
export interface Fault {
  readonly call: CallName;
  readonly n: number;
  readonly times: number;
  readonly how: (typeof faultKinds)[number];
}

export const faultKinds = [
  "unstable", "maintenance", "stumbles", "bad-gateway", "gateway-timeout", "truncated", "cut", "dropped", "unanswered", "slow",
] as const; // biome-ignore format: a list

/** A sliver that does not come up, or is slow to: a rule of the emulator's \`sliverFaults\` (infra/fabric/emulator/scenario.ts). Strikes once. */
export interface SliverFault {
  readonly type: "VM" | "FABNetv4";
  readonly skip: number;
  readonly times: 1;
  readonly fault:
    | { readonly kind: "fail"; readonly at: "ticket" | "redeem" | "modify" }
    | { readonly kind: "slow"; readonly ms: number };
}

export interface NodeWish {
  readonly site: string;
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  readonly components?: readonly string[];
}

/** What is asked for: the nodes of the slice, or its end. */
export type Wish =
  | {
      readonly kind: "up";
      readonly nodes: Readonly<Record<string, NodeWish>>;
      readonly lease: string;
      /** What changed, for the line that is printed. */
      readonly what: string;
    }
  | { readonly kind: "destroy" };

export interface Step {
  readonly wish: Wish;
  readonly blow?: Blow;
  readonly faults: readonly Fault[];
  readonly slivers: readonly SliverFault[];
  /** What is asked for after the run that was hit: the same, the slice's end, or after a destroy the slice again. */
  readonly next: Wish;
  /** Falls on the run after it. */
  readonly second?: Blow;
}

export interface Schedule {
  readonly seed: number;
  /** Milliseconds that the emulator's steps take. */
  readonly delays: Readonly<Record<"nascent" | "configure" | "modify" | "renew" | "close", number>>;
  readonly steps: readonly Step[];
}

/** The sites of the emulated testbed. */
export const sites = ["AMST", "LOSA", "HAWI"] as const;

type Operation = "create" | "modify" | "destroy";
type Nodes = Readonly<Record<string, NodeWish>>;

export function drawSchedule(seed: number): Schedule {
  const draw = drawFrom(seed);
  const delays = {
    nascent: draw.int(5, 60),
    configure: draw.int(20, 400),
    modify: draw.int(10, 300),
    renew: draw.int(5, 100),
    close: draw.int(10, 200),
  };
  const hit = draw.weighted<Operation>([
    ["create", 4],
    ["modify", 5],
    ["destroy", 3],
  ]);
  const steps: Step[] = [];
  let nodes = firstNodes(draw);
  let lease = "1d";
  const count = (): number => Object.keys(nodes).length;
  const up = (what: string): Wish => ({ kind: "up", nodes, lease, what });
  steps.push(
    stepOf(draw, up(`create ${count()} nodes`), {
      operation: "create",
      hit: hit === "create",
      nodes: count(),
    }),
  );
  const changes =
    hit === "modify"
      ? draw.weighted<number>([
          [1, 4],
          [2, 1],
        ])
      : draw.weighted<number>([
          [0, 5],
          [1, 1],
        ]);
  for (let i = 0; i < changes && isWanted(steps); i++) {
    const change = changeNodes(draw, nodes);
    nodes = change.nodes;
    const renews = draw.chance(0.2);
    if (renews) lease = `${Number.parseInt(lease, 10) + 1}d`;
    const wish = up(renews ? `${change.what}, renew` : change.what);
    steps.push(stepOf(draw, wish, { operation: "modify", hit: hit === "modify", nodes: count(), renews }));
  }
  if (isWanted(steps))
    steps.push(
      stepOf(draw, end, {
        operation: "destroy",
        hit: hit === "destroy",
        nodes: count(),
        instead: up("make it again"),
      }),
    );
  if (isWanted(steps)) steps.push(stepOf(draw, end, { operation: "destroy", hit: false, nodes: 0 }));
  return { seed, delays, steps };
}

const end: Wish = { kind: "destroy" };

/** Whether the slice is there and wanted after these steps. */
const isWanted = (steps: readonly Step[]): boolean => steps.at(-1)?.next.kind === "up";

interface StepOptions {
  readonly operation: Operation;
  readonly hit: boolean;
  /** How many nodes the slice has. */
  readonly nodes: number;
  readonly renews?: boolean;
  /** What may be asked for next in place of the same again. Default: the slice's end. */
  readonly instead?: Wish;
}

function stepOf(draw: Draw, wish: Wish, options: StepOptions): Step {
  const { operation, hit, nodes, instead = end } = options;
  if (!hit) return { wish, faults: [], slivers: [], next: wish };
  // Now and then nobody is killed: the server alone is in trouble.
  const blow = draw.chance(0.88) ? drawBlow(draw, options) : undefined;
  const few = blow === undefined ? draw.int(1, 2) : draw.chance(0.4) ? draw.int(1, 2) : 0;
  const faults = Array.from({ length: few }, () => drawFault(draw, operation, nodes));
  const next = draw.chance(0.25) ? instead : wish;
  const then = next === wish ? operation : next.kind === "destroy" ? "destroy" : "create";
  const second = draw.chance(0.15) ? drawBlow(draw, { operation: then, nodes }) : undefined;
  const slivers =
    wish.kind === "up" && draw.chance(blow === undefined ? 0.7 : 0.25) ? [drawSliverFault(draw)] : [];
  return {
    wish,
    ...(blow === undefined ? {} : { blow }),
    faults,
    slivers,
    next,
    ...(second === undefined ? {} : { second }),
  };
}

function drawBlow(draw: Draw, options: Pick<StepOptions, "operation" | "nodes" | "renews">): Blow {
  return {
    victim: draw.weighted<Victim>([
      ["engine", 4],
      ["provider", 4],
      ["all", 3],
      ["emulator", 2],
      ["program", 1],
    ]),
    at: drawMoment(draw, options),
    back: draw.int(0, 900),
  };
}

/** How often each call is made in one run of an operation on so many nodes, at least. */
const calls: Readonly<Record<Operation, (nodes: number) => readonly (readonly [CallName, number])[]>> = {
  create: (nodes) => [["list", 1], ["create", 1], ["slice", 3 + nodes], ["slivers", 1 + nodes]],
  modify: () => [["slice", 6], ["slivers", 2], ["modify", 1], ["accept", 1]],
  destroy: () => [["slice", 2], ["delete", 1]],
}; // biome-ignore format: a table

const changing: readonly CallName[] = ["create", "modify", "accept", "renew", "delete"];

function drawMoment(
  draw: Draw,
  { operation, nodes, renews = false }: Pick<StepOptions, "operation" | "nodes" | "renews">,
): Moment {
  const how = draw.weighted([
    ["call", 8],
    ["checkpoint", 1],
    ["ms", 1],
  ]);
  if (how === "checkpoint") return { checkpoint: draw.int(1, 8) };
  if (how === "ms") return { ms: draw.int(300, operation === "destroy" ? 1200 : 2500) };
  const list = [...calls[operation](nodes), ...(renews ? ([["renew", 1]] as const) : [])];
  const [call, often] = draw.weighted(list.map((c) => [c, changing.includes(c[0]) ? 3 : 2]));
  return { call, n: draw.int(1, often), phase: draw.one(["arrives", "taken", "answered", "read"] as const) };
}

function drawFault(draw: Draw, operation: Operation, nodes: number): Fault {
  const [call, often] = draw.one(calls[operation](nodes));
  const able = faultKinds.filter(
    (how) => changing.includes(call) || !["unstable", "maintenance"].includes(how),
  );
  return { call, n: draw.int(1, often), times: draw.int(1, 2), how: draw.one(able) };
}

function drawSliverFault(draw: Draw): SliverFault {
  const fault: SliverFault["fault"] = draw.chance(0.3)
    ? { kind: "slow", ms: draw.int(300, 1500) }
    : { kind: "fail", at: draw.one(["ticket", "redeem", "modify"] as const) };
  return { type: draw.one(["VM", "FABNetv4"] as const), skip: draw.int(0, 1), times: 1, fault };
}

const names = ["core", "losa", "server", "one", "two"] as const;

function firstNodes(draw: Draw): Nodes {
  const count = draw.int(1, 3);
  return Object.fromEntries(names.slice(0, count).map((name) => [name, drawNode(draw)]));
}

function drawNode(draw: Draw): NodeWish {
  const cores = draw.one([2, 4]);
  const gpu = draw.chance(0.15) ? { components: ["GPU_A30"] } : {};
  return { site: draw.one(sites), cores, ram: cores * 4, disk: 10, ...gpu };
}

/** One or two changes at once: a node added, removed, resized, moved, or given another component. */
function changeNodes(draw: Draw, before: Nodes): { readonly nodes: Nodes; readonly what: string } {
  let nodes = before;
  const words: string[] = [];
  while (words.length === 0 || (words.length === 1 && draw.chance(0.4))) {
    const name = draw.one(Object.keys(nodes));
    const node = nodes[name];
    // Two changes of one node could undo each other.
    if (node === undefined || node !== before[name]) break;
    const free = names.filter((n) => nodes[n] === undefined && before[n] === undefined);
    const kind = draw.one(["add", "remove", "resize", "move", "component"] as const);
    if (kind === "add" && free.length > 0) {
      const added = draw.one(free);
      nodes = { ...nodes, [added]: drawNode(draw) };
      words.push(`add ${added}`);
    } else if (kind === "remove" && Object.keys(nodes).length > 1) {
      nodes = Object.fromEntries(Object.entries(nodes).filter(([n]) => n !== name));
      words.push(`remove ${name}`);
    } else if (kind === "resize") {
      const cores = node.cores === 2 ? 8 : 2;
      nodes = { ...nodes, [name]: { ...node, cores, ram: cores * 4 } };
      words.push(`resize ${name}`);
    } else if (kind === "move") {
      nodes = { ...nodes, [name]: { ...node, site: draw.one(sites.filter((s) => s !== node.site)) } };
      words.push(`move ${name}`);
    } else if (kind === "component") {
      const { components, ...rest } = node;
      nodes = { ...nodes, [name]: components === undefined ? { ...rest, components: ["GPU_A30"] } : rest };
      words.push(`${components === undefined ? "add a GPU to" : "take the GPU of"} ${name}`);
    }
  }
  return { nodes, what: words.join(", ") };
}

/** `engine killed as the server takes modify 1`, for the printed line. */
export function describeBlow({ victim, at }: Blow): string {
  if ("ms" in at) return `${victim} after ${at.ms} ms`;
  if ("checkpoint" in at) return `${victim} at checkpoint ${at.checkpoint}`;
  return `${victim} at ${at.call} ${at.n} ${at.phase}`;
}

/** The same without its numbers, to count by. */
export function kindOf({ victim, at }: Blow): string {
  if ("ms" in at) return `${victim} at some time`;
  return "checkpoint" in at ? `${victim} at a checkpoint` : `${victim} at ${at.call} ${at.phase}`;
}

export function describeSliverFault({ type, fault }: SliverFault): string {
  return fault.kind === "slow" ? `a slow ${type}` : `a ${type} that fails at its ${fault.at}`;
}

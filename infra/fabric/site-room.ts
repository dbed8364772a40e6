/** Whether nodes fit where they shall be, given what is free. Pure. */
import type { Problem } from "../problem.js";
import { cardModels, componentModels, deviceKey } from "./components.js";
import { flavourFor } from "./flavours.js";
import type { NodeSpec } from "./node-spec.js";
import type { NodeView } from "./slice-view.js";

/** What is free on one machine of a site. GB for RAM and disk. */
export interface Room {
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  /** Devices by FIM's type and model (`GPU-A30`); absent where nobody says. */
  readonly devices?: Readonly<Record<string, number>>;
  /** The machine's name, where it is known. */
  readonly name?: string;
}

/** What is free at a site. A node must fit into one worker, however much the site has in all. */
export interface SiteRoom {
  readonly site: string;
  readonly maintenance?: boolean;
  readonly workers: readonly Room[];
}

/** What a node asks for. */
export interface Wanted extends Omit<Room, "name"> {
  readonly name: string;
  readonly site: string;
  /** What it will take: FABRIC rounds up to a flavour. Default: what it asks for. */
  readonly takes?: Room;
}

const UNITS = ["cores", "ram", "disk"] as const;

/** What a node asks of its site, and what it will take there. */
export function wantedOf(name: string, node: NodeSpec): Wanted {
  const { site, cores, ram, disk } = node;
  const { core, ...rest } = flavourFor({ core: cores, ram, disk });
  const devices = devicesOf(node);
  return { ...{ name, site, cores, ram, disk }, devices, takes: { cores: core, ...rest, devices } };
}

function devicesOf(node: Pick<NodeSpec, "components" | "nics" | "siteNetwork">): Record<string, number> {
  const models = [
    node.siteNetwork === false ? undefined : cardModels.NIC_Basic,
    ...Object.values(node.nics ?? {}).map((name) => cardModels[name]),
    ...node.components.map((name) => componentModels[name]),
  ];
  const count: Record<string, number> = {};
  for (const model of models) {
    if (model === undefined) continue;
    const key = deviceKey(model);
    count[key] = (count[key] ?? 0) + 1;
  }
  return count;
}

/**
 * What would be free if a slice held nothing: what its nodes hold is added back to the worker that each is on, where that is known, else to the first
 * of its site.
 */
export function withoutSlice(
  sites: readonly SiteRoom[],
  nodes: readonly Pick<
    NodeView,
    "site" | "cores" | "ram" | "disk" | "components" | "nics" | "siteNetwork" | "worker"
  >[],
): SiteRoom[] {
  return sites.map((site) => {
    const workers = site.workers.map((w) => ({
      ...w,
      devices: w.devices === undefined ? undefined : ({ ...w.devices } as Record<string, number>),
    }));
    for (const node of nodes.filter((n) => n.site === site.site)) {
      const worker = workers.find((w) => w.name !== undefined && w.name === node.worker) ?? workers[0];
      if (worker === undefined) continue;
      const { core, ram, disk } = flavourFor({ core: node.cores, ram: node.ram, disk: node.disk });
      worker.cores += core;
      worker.ram += ram;
      worker.disk += disk;
      const held = devicesOf({ ...node, components: [...node.components], nics: { ...node.nics } });
      for (const [key, n] of Object.entries(held))
        if (worker.devices !== undefined) worker.devices[key] = (worker.devices[key] ?? 0) + n;
    }
    return {
      ...site,
      workers: workers.map(({ devices, ...w }) => (devices === undefined ? w : { ...w, devices })),
    };
  });
}

/** So many other sites are named in a message. */
const mostAlternatives = 3;

/**
 * The nodes that do not fit where they shall be, given all the others: each goes to the first worker with room, the largest first.
 * A site that the data do not have is left to the check of names.
 *
 * Codes: FAB-SITE-FULL, FAB-SITE-MAINTENANCE; paths `nodes.<name>.<what is short>`.
 */
export function roomProblems(nodes: readonly Wanted[], sites: readonly SiteRoom[]): Problem[] {
  const left = new Map(
    sites.map((s) => [
      s.site,
      {
        maintenance: s.maintenance ?? false,
        workers: s.workers.map((w) => ({ ...w, ...(w.devices && { devices: { ...w.devices } }) })),
      },
    ]),
  );
  const problems = new Map<string, Problem>();
  const largestFirst = [...nodes].sort(
    (a, b) => b.cores - a.cores || b.ram - a.ram || b.disk - a.disk || (a.name < b.name ? -1 : 1),
  );
  for (const node of largestFirst) {
    const site = left.get(node.site);
    if (site === undefined) continue;
    if (site.maintenance) {
      problems.set(node.name, maintenance(node, alternatives(node, left)));
      continue;
    }
    const takes = node.takes ?? node;
    const worker = site.workers.find((w) => fits(takes, w));
    if (worker === undefined)
      problems.set(node.name, full(node, takes, site.workers, alternatives(node, left)));
    else take(worker, takes);
  }
  return nodes.flatMap((node) => problems.get(node.name) ?? []);
}

interface Left {
  cores: number;
  ram: number;
  disk: number;
  devices?: Record<string, number>;
}

function take(worker: Left, takes: Room): void {
  for (const unit of UNITS) worker[unit] -= takes[unit];
  for (const [key, n] of Object.entries(takes.devices ?? {}))
    if (worker.devices !== undefined) worker.devices[key] = (worker.devices[key] ?? 0) - n;
}

const fits = (wanted: Room, free: Room): boolean =>
  UNITS.every((unit) => wanted[unit] <= free[unit]) && lacking(wanted, free).length === 0;

/** The devices that a worker has too few of. One that tells of none may have all. */
function lacking(wanted: Room, { devices }: Room): string[] {
  if (devices === undefined) return [];
  return Object.entries(wanted.devices ?? {}).flatMap(([key, n]) => (n > (devices[key] ?? 0) ? [key] : []));
}

function full(node: Wanted, takes: Room, workers: readonly Room[], elsewhere: readonly string[]): Problem {
  // What no worker has is what is short; where each lacks something else, the room for cores is what people think of first.
  const short = UNITS.find((u) => workers.every((w) => w[u] < takes[u]));
  const device = Object.keys(takes.devices ?? {}).find((key) =>
    workers.every((w) => lacking(takes, w).includes(key)),
  );
  if (short === undefined && device !== undefined) return noDevice(node, device, takes, workers, elsewhere);
  const unit = short ?? "cores";
  const most = Math.max(0, ...workers.map((w) => w[unit]));
  const size = unit === "cores" ? "" : " GB";
  return {
    code: "FAB-SITE-FULL",
    path: `nodes.${node.name}.${unit}`,
    message: `${node[unit]}${size} asked${takes[unit] === node[unit] ? "" : ` (${takes[unit]} as FABRIC rounds it)`}, ${node.site} has ${most}${size} free`,
    remedy:
      elsewhere.length === 0 ? "no site has that much; ask for less" : `room at ${elsewhere.join(", ")}`,
  };
}

function noDevice(
  node: Wanted,
  key: string,
  takes: Room,
  workers: readonly Room[],
  elsewhere: readonly string[],
): Problem {
  const model = nameOf(key);
  const most = Math.max(0, ...workers.map((w) => w.devices?.[key] ?? 0));
  return {
    code: "FAB-SITE-FULL",
    path: `nodes.${node.name}.${Object.hasOwn(componentModels, model) ? "components" : "nics"}`,
    message: `${takes.devices?.[key]} ${model} asked, ${node.site} has ${most === 0 ? "none" : most} free on one worker`,
    remedy: elsewhere.length === 0 ? "no site has that; ask for less" : `room at ${elsewhere.join(", ")}`,
  };
}

/** `GPU-A30` as people write it: `GPU_A30`. */
function nameOf(key: string): string {
  const all = Object.entries({ ...componentModels, ...cardModels });
  return all.find(([, model]) => deviceKey(model) === key)?.[0] ?? key;
}

function maintenance(node: Wanted, elsewhere: readonly string[]): Problem {
  return {
    code: "FAB-SITE-MAINTENANCE",
    path: `nodes.${node.name}.site`,
    message: `${node.site} is in maintenance`,
    remedy: elsewhere.length === 0 ? "try again later" : `room at ${elsewhere.join(", ")}`,
  };
}

function alternatives(
  node: Wanted,
  left: ReadonlyMap<string, { readonly maintenance: boolean; readonly workers: readonly Room[] }>,
): string[] {
  return [...left]
    .filter(
      ([name, site]) =>
        name !== node.site && !site.maintenance && site.workers.some((w) => fits(node.takes ?? node, w)),
    )
    .map(([name]) => name)
    .sort()
    .slice(0, mostAlternatives);
}

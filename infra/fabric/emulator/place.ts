/** Which worker a VM gets, and which of its devices: the broker's first fit. */
import { createHash } from "node:crypto";
import { fimJson, jsonProperty, numberIn, textIn } from "../fim.js";
import { type Flavour, flavourFor, flavourName, flavourNamed } from "../flavours.js";
import type { GraphNode } from "../graph.js";
import { siteCapacity, type WorkerCapacity } from "./capacity.js";
import type { Device, Hold } from "./model.js";
import type { Scenario, Worker } from "./scenario.js";
import { type GraphView, nameOf, nodeId } from "./view.js";

export type Grants = Record<string, Record<string, string>>;

export type Placement =
  | { readonly hold: Hold; readonly grants: Grants; readonly problem?: undefined }
  | {
      readonly problem: string;
      /** When it shows. Default: with the broker's answer. */
      readonly failsAt?: number;
    };

/** Properties of a node map; the name stands for the broker's combined model. */
export const modelName = "emulated-cbm";

/** The size a VM asks for: by name if it has a hint, else by numbers. */
export function wishOf(vm: GraphNode): Flavour {
  const named = textIn(vm, "CapacityHints", "instance_type");
  const byName = named === undefined ? undefined : flavourNamed(named);
  if (byName !== undefined) return byName;
  return {
    core: numberIn(vm, "Capacities", "core"),
    ram: numberIn(vm, "Capacities", "ram"),
    disk: numberIn(vm, "Capacities", "disk"),
  };
}

/** A place for a VM. `taken`: what living slivers hold. */
export function placeVm(
  scenario: Scenario,
  taken: readonly Hold[],
  view: GraphView,
  vm: GraphNode,
): Placement {
  const siteName = vm.props.Site ?? "";
  const site = scenario.sites.get(siteName);
  if (site === undefined) return { problem: `Unknown site ${siteName} requested for ${nameOf(vm)}` };
  const none = { problem: `Insufficient resources: No hosts available to provision the ${nameOf(vm)}` };
  if (site.maintenance) return none;
  const flavour = flavourFor(wishOf(vm));
  const wanted = devicesOf(view, vm);
  const pinned = textIn(vm, "Labels", "instance_parent");
  const able = (w: WorkerCapacity) => (pinned === undefined || w.name === pinned) && hasKinds(w, wanted);
  let problem: string | undefined;
  for (const worker of siteCapacity(site, taken).workers.filter(able)) {
    const lacking = shortage(worker, flavour, wanted);
    if (lacking !== undefined) {
      problem = lacking;
      continue;
    }
    const devices = takeDevices(worker.name, taken, wanted);
    const hold: Hold = {
      site: siteName,
      worker: worker.name,
      cores: flavour.core,
      ram: flavour.ram,
      disk: flavour.disk,
      devices,
    };
    return { hold, grants: vmGrants(scenario, view, vm, flavour, hold) };
  }
  if (problem === undefined) return none;
  return {
    problem:
      pinned === undefined
        ? problem
        : `Insufficient Resources: ${pinned} cannot serve the requested sliver - ${problem}`,
  };
}

/** Components that a running VM asks for besides what it has; those its worker cannot give are named. */
export function extendVm(
  scenario: Scenario,
  taken: readonly Hold[],
  view: GraphView,
  vm: GraphNode,
  hold: Hold,
  added: readonly GraphNode[],
): { readonly hold: Hold; readonly grants: Grants; readonly failed: readonly string[] } {
  const site = scenario.sites.get(hold.site ?? "");
  const worker = site?.workers.find((w) => w.name === hold.worker);
  const failed: string[] = [];
  let now = hold;
  for (const component of added) {
    const key = deviceKey(component);
    if (key === undefined) continue;
    const others = taken.filter((h) => h !== hold);
    if (worker === undefined || !roomFor(worker, [...others, now], key)) {
      failed.push(nodeId(component));
      continue;
    }
    now = {
      ...now,
      devices: [
        ...now.devices,
        ...takeDevices(worker.name, [...others, now], [{ key, nodeId: nodeId(component) }]),
      ],
    };
  }
  const grants: Grants = {};
  for (const d of now.devices)
    if (!hold.devices.includes(d)) Object.assign(grants, deviceGrants(view, hold.worker ?? "", vm, d));
  return { hold: now, grants, failed };
}

type Wanted = Pick<Device, "key" | "nodeId">;

/** Storage comes over the network: it takes no device of a worker. */
function deviceKey(component: GraphNode): string | undefined {
  return component.props.Type === "Storage" ? undefined : `${component.props.Type}-${component.props.Model}`;
}

function devicesOf(view: GraphView, vm: GraphNode): readonly Wanted[] {
  return view.components(vm).flatMap((c) => {
    const key = deviceKey(c);
    return key === undefined ? [] : [{ key, nodeId: nodeId(c) }];
  });
}

function counted(wanted: readonly Wanted[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const w of wanted) counts.set(w.key, (counts.get(w.key) ?? 0) + 1);
  return counts;
}

function hasKinds(worker: WorkerCapacity, wanted: readonly Wanted[]): boolean {
  return [...counted(wanted)].every(([key, n]) => (worker.components[key]?.total ?? 0) >= n);
}

function shortage(worker: WorkerCapacity, flavour: Flavour, wanted: readonly Wanted[]): string | undefined {
  const fields = [
    ...(worker.cores.free < flavour.core ? ["core"] : []),
    ...(worker.ram.free < flavour.ram ? ["ram"] : []),
    ...(worker.disk.free < flavour.disk ? ["disk"] : []),
  ];
  if (fields.length > 0) return `Insufficient resources : [${fields.map((f) => `'${f}'`).join(", ")}]`;
  const key = [...counted(wanted)].find(([k, n]) => (worker.components[k]?.free ?? 0) < n)?.[0];
  return key === undefined
    ? undefined
    : `Insufficient resources : Component of type: ${key.split("-")[0]} not available in graph node: ${worker.name}`;
}

function roomFor(worker: Worker, taken: readonly Hold[], key: string): boolean {
  return usedSlots(worker.name, taken, key).size < (worker.components[key] ?? 0);
}

function usedSlots(worker: string, taken: readonly Hold[], key: string): Set<number> {
  return new Set(
    taken
      .filter((h) => h.worker === worker)
      .flatMap((h) => h.devices.filter((d) => d.key === key).map((d) => d.slot)),
  );
}

function takeDevices(worker: string, taken: readonly Hold[], wanted: readonly Wanted[]): readonly Device[] {
  const used = new Map<string, Set<number>>();
  return wanted.map((w) => {
    let slots = used.get(w.key);
    if (slots === undefined) {
      slots = usedSlots(worker, taken, w.key);
      used.set(w.key, slots);
    }
    let slot = 0;
    while (slots.has(slot)) slot++;
    slots.add(slot);
    return { ...w, slot };
  });
}

function vmGrants(scenario: Scenario, view: GraphView, vm: GraphNode, flavour: Flavour, hold: Hold): Grants {
  const id = nodeId(vm);
  const number = fingerprint(id).readUInt32BE(0);
  const index = scenario.sites.get(hold.site ?? "")?.index ?? 0;
  const grants: Grants = {
    [id]: {
      CapacityAllocations: fimJson({ core: flavour.core, ram: flavour.ram, disk: flavour.disk }),
      ...(vm.props.CapacityHints === undefined
        ? { CapacityHints: fimJson({ instance_type: flavourName(flavour) }) }
        : {}),
      LabelAllocations: fimJson({
        instance: `instance-${number.toString(16).padStart(8, "0")}`,
        instance_parent: hold.worker,
      }),
      NodeMap: fimJson([modelName, hold.worker]),
      // an address that answers only where nodes are namespaces with IPv6 management; other hosts get theirs in hosts-addresses.ts
      MgmtIp: `2001:400:a100:${(0x3000 + index).toString(16)}:f816:3eff:fe${hex(number, 16)}:${(number & 0xffff).toString(16)}`,
    },
  };
  for (const d of hold.devices) Object.assign(grants, deviceGrants(view, hold.worker ?? "", vm, d));
  return grants;
}

function hex(n: number, shift: number): string {
  return ((n >>> shift) & 0xff).toString(16).padStart(2, "0");
}

/** What a component and its ports are given: a PCI address each, and for ports a MAC and, on a shared card, a VLAN. */
function deviceGrants(view: GraphView, worker: string, vm: GraphNode, device: Device): Grants {
  const component = view.components(vm).find((c) => nodeId(c) === device.nodeId);
  if (component === undefined) return {};
  const bdf = (port: number) =>
    `0000:${(0x20 + kindNumber(device.key)).toString(16)}:${hex(device.slot, 3)}.${(device.slot + port) & 7}`;
  const ports = view.servicesOf(component).flatMap((s) => view.ports(s));
  const grants: Grants = {
    [device.nodeId]: {
      CapacityAllocations: fimJson({ unit: 1 }),
      LabelAllocations: fimJson({ bdf: bdf(0) }),
      NodeMap: fimJson([modelName, `${worker}/${device.key}`]),
    },
  };
  ports.forEach((port, i) => {
    const shared = port.props.Type === "SharedPort";
    grants[nodeId(port)] = {
      LabelAllocations: fimJson({
        bdf: bdf(i),
        local_name: jsonProperty(port, "Labels").local_name ?? `p${i + 1}`,
        mac: macOf(nodeId(port)),
        ...(shared ? { vlan: String(2001 + device.slot) } : {}),
      }),
    };
  });
  return grants;
}

function kindNumber(key: string): number {
  return fingerprint(key).readUInt8(0) & 0x5f;
}

/** A locally administered address, the same for the same port. */
export function macOf(id: string): string {
  const bytes = fingerprint(id).subarray(8, 13);
  return ["02", ...[...bytes].map((b) => b.toString(16).padStart(2, "0"))].join(":").toUpperCase();
}

function fingerprint(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

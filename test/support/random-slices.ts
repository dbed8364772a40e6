import fc from "fast-check";
import { cardModels, componentModels } from "../../infra/fabric/components.js";
import { flavourNamed } from "../../infra/fabric/flavours.js";
import { networkProblems } from "../../infra/fabric/network-rules.js";
import { networkTypes } from "../../infra/fabric/network-spec.js";
import { productionSites } from "../../infra/fabric/sites.js";
import type { InterfaceSpec, NetworkSpec, NodeSpec } from "../../infra/fabric/spec.js";

export interface RandomSlice {
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
  readonly networks?: Readonly<Record<string, NetworkSpec>>;
}

export const nodeNames: fc.Arbitrary<string> = fc.stringMatching(/^[a-z][a-z0-9-]{1,9}$/);

const sizes: fc.Arbitrary<Pick<NodeSpec, "cores" | "ram" | "disk" | "instanceType">> = fc.oneof(
  fc.record({
    cores: fc.constantFrom(2, 4, 8),
    ram: fc.constantFrom(8, 16),
    disk: fc.constantFrom(10, 50),
  }),
  fc.constantFrom("fabric.c2.m8.d10", "fabric.c4.m16.d100", "fabric.c1.m32.d50").map((instanceType) => {
    const { core: cores = 0, ram = 0, disk = 0 } = flavourNamed(instanceType) ?? {};
    return { cores, ram, disk, instanceType };
  }),
);

/** Text that XML can carry. */
const script = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .map((text) => `#!/bin/sh\necho '${text}' > "/tmp/a" && true\t<&>\n`);

/** What not every node has. */
const extras: fc.Arbitrary<Pick<NodeSpec, "host" | "bootScript" | "nics" | "storage" | "siteNetwork">> =
  fc.record(
    {
      siteNetwork: fc.constant(false as const),
      host: fc.constantFrom("amst-w1.fabric-testbed.net", "losa-w2.fabric-testbed.net"),
      bootScript: script,
      nics: fc.dictionary(
        fc.constantFrom("nic1", "nic2", "nic3", "card"),
        fc.constantFrom(...Object.keys(cardModels)),
        { maxKeys: 3, noNullPrototype: true },
      ),
      storage: fc.uniqueArray(fc.constantFrom("vol-a", "vol-b"), { maxLength: 2 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );

/** The name is that of the card on its site's network. */
function withoutNic1({ nics, ...node }: NodeSpec): NodeSpec {
  const { nic1: _, ...others } = nics ?? {};
  return nics === undefined ? node : { ...node, nics: others };
}

/** A node as the schema gives it. A few sites only, so that nodes meet. */
export const nodeSpecs: fc.Arbitrary<NodeSpec> = fc
  .tuple(
    fc.record({
      site: fc.constantFrom(...productionSites.slice(0, 4)),
      image: fc.constantFrom("default_ubuntu_22", "default_rocky_9"),
      components: fc.array(fc.constantFrom(...Object.keys(componentModels)), { maxLength: 2 }),
      userData: fc.dictionary(
        fc.stringMatching(/^[a-z]{1,6}$/),
        fc.string({ unit: "grapheme", maxLength: 8 }),
        { maxKeys: 2, noNullPrototype: true },
      ),
    }),
    sizes,
    fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 3, arbitrary: extras }),
  )
  .map(([node, size, more]): NodeSpec => ({ ...node, ...size, ...more }))
  .map((node) => (node.siteNetwork === false ? node : withoutNic1(node)));

export const nodeMaps: fc.Arbitrary<Readonly<Record<string, NodeSpec>>> = fc.dictionary(
  nodeNames,
  nodeSpecs,
  {
    minKeys: 1,
    maxKeys: 7,
    noNullPrototype: true,
  },
);

/** Choices by number, which {@link networksOn} makes networks of: so they shrink with the nodes. */
interface Draw {
  readonly type: NetworkSpec["type"];
  /** Each picks one of the interfaces that the type can do with. */
  readonly picks: readonly number[];
  readonly vlan: number | undefined;
  readonly bandwidth: number | undefined;
}

const draws: fc.Arbitrary<readonly Draw[]> = fc.array(
  fc.record({
    type: fc.constantFrom(...networkTypes),
    picks: fc.array(fc.nat(1000), { minLength: 2, maxLength: 4 }),
    vlan: fc.option(fc.constantFrom(100, 200, 3000), { nil: undefined, freq: 2 }),
    bandwidth: fc.option(fc.constantFrom(5, 25), { nil: undefined }),
  }),
  { maxLength: 8 },
);

/** The drawn networks that go with the nodes; what does not is left out. */
function networksOn(
  nodes: Readonly<Record<string, NodeSpec>>,
  drawn: readonly Draw[],
): Record<string, NetworkSpec> {
  const networks: Record<string, NetworkSpec> = {};
  for (const [i, { type, picks, vlan, bandwidth }] of drawn.entries()) {
    const all = Object.entries(nodes).flatMap(([node, spec]) => interfacesOf(node, spec, type, vlan));
    const chosen = choose(all, type, picks);
    const network: NetworkSpec = {
      type,
      interfaces: chosen.map((c) => c.join),
      ...(bandwidth === undefined || type !== "L2PTP" ? {} : { bandwidth }),
    };
    const more = { ...networks, [`net${i}`]: network };
    if (networkProblems({ nodes, networks: more }).length === 0) Object.assign(networks, more);
  }
  return networks;
}

interface Candidate {
  readonly site: string;
  readonly join: InterfaceSpec;
}

function interfacesOf(
  node: string,
  { site, nics = {} }: NodeSpec,
  type: string,
  vlan: number | undefined,
): Candidate[] {
  const cards = Object.entries(nics).flatMap(([nic, model]): Candidate[] => {
    if (model === "NIC_Basic") return type === "L2PTP" ? [] : [{ site, join: { node, nic } }];
    const tag = vlan === undefined ? {} : { vlan };
    return [
      { site, join: { node, nic, ...tag } },
      { site, join: { node, nic, port: 2, ...tag } },
    ];
  });
  return type === "L2PTP" ? cards : [{ site, join: { node } }, ...cards];
}

/** Two sites for the types that join two, else one. */
function choose(all: readonly Candidate[], type: string, picks: readonly number[]): Candidate[] {
  const two = type === "L2STS" || type === "L2PTP";
  const chosen: Candidate[] = [];
  for (const pick of type === "L2PTP" ? picks.slice(0, 2) : picks) {
    const sites = [...new Set(chosen.map((c) => c.site))];
    const left = all.filter((c) => {
      if (chosen.some((other) => other.join === c.join)) return false;
      if (sites.length === 0) return true;
      return two && sites.length === 1 ? c.site !== sites[0] : sites.includes(c.site);
    });
    const next = left[pick % left.length];
    if (next !== undefined) chosen.push(next);
  }
  return chosen;
}

/** Nodes alone, or with networks beside those of their sites. */
export const slices: fc.Arbitrary<RandomSlice> = fc
  .tuple(nodeMaps, draws)
  .map(([nodes, drawn]): RandomSlice => {
    const networks = networksOn(nodes, drawn);
    return { name: "p-dev", nodes, ...(Object.keys(networks).length === 0 ? {} : { networks }) };
  });

/** The node, off its site's network, or on it. */
export function moved({ siteNetwork, ...node }: NodeSpec): NodeSpec {
  return siteNetwork === false ? withoutNic1(node) : { ...node, siteNetwork: false };
}

/** A slice and what becomes of it: half of the nodes stay, most of them as they are, so that there is something to keep. */
export const changedSlices: fc.Arbitrary<{ readonly before: RandomSlice; readonly after: RandomSlice }> = fc
  .tuple(slices, nodeMaps, draws, fc.boolean(), fc.boolean())
  .map(([before, others, drawn, keepNetworks, move]) => {
    const stay = Object.entries(before.nodes).filter((_, i) => i % 2 === 0);
    const kept = stay.map(([name, node], i) => [name, move && i === 0 ? moved(node) : node] as const);
    const nodes = { ...others, ...Object.fromEntries(kept) };
    const networks = {
      ...(keepNetworks ? surviving(nodes, before.networks ?? {}) : networksOn(nodes, drawn)),
    };
    return {
      before,
      after: { name: before.name, nodes, ...(Object.keys(networks).length === 0 ? {} : { networks }) },
    };
  });

function surviving(
  nodes: Readonly<Record<string, NodeSpec>>,
  networks: Readonly<Record<string, NetworkSpec>>,
): Record<string, NetworkSpec> {
  const left: Record<string, NetworkSpec> = {};
  for (const [name, network] of Object.entries(networks)) {
    const interfaces = network.interfaces.filter((i) => Object.hasOwn(nodes, i.node));
    const more = { ...left, [name]: { ...network, interfaces } };
    if (networkProblems({ nodes, networks: more }).length === 0) Object.assign(left, more);
  }
  return left;
}

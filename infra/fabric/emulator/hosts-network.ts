/** Lines for `ip -batch`: the wires between emulated nodes and their networks. Pure. Names of links have at most 15 characters. */
import type { DesiredCard } from "./hosts-plan.js";

/** One card as it is plugged in. */
export interface PluggedCard extends DesiredCard {
  /** In the node, e.g. `enp7s0`. */
  readonly name: string;
  /** Its other end, in the namespace of the networks. */
  readonly link: string;
}

/** What has to be plugged, moved and pulled on one node. */
export interface CardChange {
  readonly cards: readonly PluggedCard[];
  readonly add: readonly PluggedCard[];
  readonly move: readonly PluggedCard[];
  readonly remove: readonly PluggedCard[];
}

/**
 * The cards of a node from those it has to those it should have. A card keeps its name as long as it is there; a new one gets the lowest that is
 * free from enp7s0 on, as FABRIC's virtual machines name theirs.
 */
export function planCards(
  before: readonly PluggedCard[],
  wanted: readonly DesiredCard[],
  newLink: () => string,
): CardChange {
  const had = new Map(before.map((card) => [card.mac, card]));
  const macs = new Set(wanted.map((card) => card.mac));
  const names = new Set(before.filter((card) => macs.has(card.mac)).map((card) => card.name));
  const freeName = (): string => {
    for (let bus = 7; ; bus++) {
      const name = `enp${bus}s0`;
      if (!names.has(name)) {
        names.add(name);
        return name;
      }
    }
  };
  const add: PluggedCard[] = [];
  const move: PluggedCard[] = [];
  const cards = wanted.map((card): PluggedCard => {
    const known = had.get(card.mac);
    const plugged = { ...card, name: known?.name ?? freeName(), link: known?.link ?? newLink() };
    if (known === undefined) add.push(plugged);
    else if (known.network !== card.network) move.push(plugged);
    return plugged;
  });
  return { cards, add, move, remove: before.filter((card) => !macs.has(card.mac)) };
}

/** A network: a switch without spanning tree, and its router's addresses. */
export function bridgeLines(bridge: string, gateways: readonly string[]): readonly string[] {
  return [
    `link add name ${bridge} type bridge`,
    // a switch has no address of its own, and needs none to pass on
    `link set dev ${bridge} addrgenmode none`,
    ...gateways.map((address) => addressLine(address, bridge)),
    `link set dev ${bridge} up`,
  ];
}

/** A card in the namespace of process `pid`, its other end here. */
export function plugLines(card: PluggedCard, pid: number, bridge: string | undefined): readonly string[] {
  return [
    `link add name ${card.link} type veth peer name ${card.name} address ${card.mac} netns ${pid}`,
    `link set dev ${card.link} addrgenmode none`,
    ...wireLines(card, bridge),
  ];
}

/** The other end of a card to its network, or to none: a cable that hangs. */
export function wireLines(card: PluggedCard, bridge: string | undefined): readonly string[] {
  return bridge === undefined
    ? [`link set dev ${card.link} nomaster`, `link set ${card.link} down`]
    : [`link set dev ${card.link} master ${bridge}`, `link set ${card.link} up`];
}

/** The management card of a node and its way out: as its image would set it up, unlike all other cards. */
export const managementCard = "enp3s0";

export function managementLines(address: string, gateway: string): readonly string[] {
  return [
    "link set dev lo up",
    addressLine(address, managementCard),
    `link set dev ${managementCard} up`,
    `route add ${gateway.includes(":") ? "::/0" : "default"} via ${gateway} dev ${managementCard}`,
  ];
}

/** An IPv6 address is used at once: the check for doubles would take a second. */
function addressLine(address: string, device: string): string {
  return `addr add ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`;
}

/** How the elements of a slice are called: as FABlib would call them. Pure. */

/** The name of a site's network inside the slice: `net-amst`. */
export function networkName(site: string): string {
  return `net-${site.toLowerCase()}`;
}

/** The component of a node's card: `clientone-nic2`. */
export function cardComponent(node: string, card: string): string {
  return `${node}-${card}`;
}

/** A device without ports, called after its model and number: `clientone-gpu-a30-1`. */
export function deviceName(node: string, model: string, number: number): string {
  return `${node}-${model.toLowerCase().replaceAll("_", "-")}-${number}`;
}

/** A component beside the network card: a FABlib model and its number among those of its model on the node. */
export interface Device {
  readonly model: string;
  readonly number: number;
}

/** A plan's components, numbered. */
export function devicesOf(components: readonly string[]): Device[] {
  const count = new Map<string, number>();
  return components.map((model) => {
    const number = (count.get(model) ?? 0) + 1;
    count.set(model, number);
    return { model, number };
  });
}

/** Names of a node's components and where each was written, the first card without a place. */
export function componentNamesOf(
  node: string,
  spec: {
    readonly components: readonly string[];
    readonly nics?: Readonly<Record<string, string>>;
    readonly storage?: readonly string[];
    readonly siteNetwork?: false;
  },
): { readonly component: string; readonly at: readonly (string | number)[] }[] {
  return [
    ...(spec.siteNetwork === false ? [] : [{ component: cardComponent(node, "nic1"), at: [] }]),
    ...devicesOf(spec.components).map(({ model, number }, i) => ({
      component: deviceName(node, model, number),
      at: ["components", i],
    })),
    ...Object.keys(spec.nics ?? {}).map((name) => ({
      component: cardComponent(node, name),
      at: ["nics", name],
    })),
    ...(spec.storage ?? []).map((name, i) => ({ component: name, at: ["storage", i] })),
  ];
}

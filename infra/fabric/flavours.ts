/**
 * FABRIC gives VMs in fixed sizes: a wish is rounded up, one beyond the largest silently gets the largest. Source: instance_sizes.json of
 * fabric-fim 2.0.0 (869 sizes), of which 17 odd ones with one or two cores are listed here and the rest follow a rule.
 */
export interface Flavour {
  readonly core: number;
  /** GB */
  readonly ram: number;
  /** GB */
  readonly disk: number;
}

const small: readonly Flavour[] = (
  [
    [1, 2, 10], [1, 4, 10], [1, 8, 10], [1, 8, 50], [1, 16, 10], [1, 16, 50], [1, 32, 50], [1, 4, 100], [1, 4, 500],
    [2, 2, 10], [2, 4, 10], [2, 8, 10], [2, 2, 100], [2, 4, 100], [2, 8, 100], [2, 8, 500], [2, 8, 1000],
  ] as const // biome-ignore format: a table
)
  .map(([core, ram, disk]) => ({ core, ram, disk }));

const flavours: readonly Flavour[] = [...small, ...regular()].sort(
  (a, b) => a.core - b.core || a.ram - b.ram || a.disk - b.disk,
);

function* regular(): Generator<Flavour> {
  for (let core = 4; core <= 64; core += 2) {
    for (const ram of [4, 8, 16, 32, 64, 128, 256]) {
      if (core === 64 && ram < 64) continue;
      for (const disk of [10, 100, 500, 1000]) yield { core, ram, disk };
    }
  }
}

export const flavourCount = flavours.length;

const largest: Flavour = { core: 64, ram: 256, disk: 1000 };

/** The size a VM gets: the least cores, then RAM, then disk that hold the wish. */
export function flavourFor(wish: Flavour): Flavour {
  return flavours.find((f) => f.core >= wish.core && f.ram >= wish.ram && f.disk >= wish.disk) ?? largest;
}

/** `fabric.c4.m16.d100` */
export function flavourName(f: Flavour): string {
  return `fabric.c${f.core}.m${f.ram}.d${f.disk}`;
}

const byName: ReadonlyMap<string, Flavour> = new Map(flavours.map((f) => [flavourName(f), f]));

/** The size of a name, or undefined when there is none so named. */
export function flavourNamed(name: string): Flavour | undefined {
  return byName.get(name);
}

/** A name that exists for what a misspelt or unknown one seems to ask for: `fabric.c4.m9.d10` gets `fabric.c4.m16.d10`. */
export function flavourNear(name: string): string | undefined {
  const numbers = /^fabric\.c(\d{1,4})\.m(\d{1,5})\.d(\d{1,6})$/.exec(name);
  if (numbers === null) return undefined;
  const [core = 0, ram = 0, disk = 0] = numbers.slice(1).map(Number);
  return flavourName(flavourFor({ core, ram, disk }));
}

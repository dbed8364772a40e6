/** What a party does in a job. `all`: it gives data and computes on it itself. */
export type CompositionRole = "dataProvider" | "computeProvider" | "all";

/** Who does what in a job. All lists are in order of name. */
export interface Composition {
  readonly archetype: string;
  readonly dataProviders: readonly string[];
  /** The data providers themselves, where the archetype brings the computation to the data. */
  readonly computeProviders: readonly string[];
  /** True where each data provider computes on its own data: nothing goes from one party to another. */
  readonly local: boolean;
  readonly roles: ReadonlyMap<string, CompositionRole>;
}

/** A composition from what a job's record keeps of it. */
export function compositionOf(
  archetype: string,
  dataProviders: readonly string[],
  computeProviders: readonly string[],
): Composition {
  const roles = new Map<string, CompositionRole>();
  for (const party of [...new Set([...dataProviders, ...computeProviders])].sort(byName)) {
    const gives = dataProviders.includes(party);
    roles.set(
      party,
      gives && computeProviders.includes(party) ? "all" : gives ? "dataProvider" : "computeProvider",
    );
  }
  // Read off the parties, not off the archetype, whose document may have changed since the job was composed.
  const local =
    computeProviders.length === dataProviders.length &&
    computeProviders.every((p) => dataProviders.includes(p));
  return { archetype, dataProviders, computeProviders, local, roles };
}

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

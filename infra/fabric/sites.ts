/**
 * FABRIC's sites as far as they can be known without asking: names and what a worker holds. What is free now, only
 * `/portalresources/summary` says.
 */

/** When the list below was checked. Sources: FABRIC's system test (32 production sites), FABlib 2.0.6. */
export const sitesAsOf = "2026-11";

/** The 32 sites in production. */
export const productionSites: readonly string[] = [
  "AMST",
  "ATLA",
  "BRIST",
  "CERN",
  "CLEM",
  "DALL",
  "EDC",
  "EDUKY",
  "FIU",
  "GATECH",
  "GPN",
  "HAWI",
  "INDI",
  "KANS",
  "LOSA",
  "MASS",
  "MAX",
  "MICH",
  "NCSA",
  "NEWY",
  "PRIN",
  "PSC",
  "RUTG",
  "SALT",
  "SEAT",
  "SRI",
  "STAR",
  "TACC",
  "TOKY",
  "UCSD",
  "UTAH",
  "WASH",
];

/** Named by one tool, in beta, or test sites: accepted, never suggested first. */
export const otherSites: readonly string[] = ["CIEN", "LBNL", "RENC", "UKY"];

/** The 33 sites that names are checked against when FABRIC does not say: those in production, and CIEN, which one tool lists among them. */
export const datedSites: readonly string[] = [...productionSites, "CIEN"];

const known: ReadonlySet<string> = new Set([...productionSites, ...otherSites]);

export function isSite(name: string): boolean {
  return known.has(name);
}

/** What a site's workers hold. Source: the test advertisement of the ControlFramework; sites not in it have no entry. */
export const siteWorkers: Readonly<Record<string, number>> = {
  DALL: 3,
  MICH: 3,
  NCSA: 3,
  SALT: 3,
  WASH: 3,
  MAX: 5,
  TACC: 5,
  UTAH: 5,
  STAR: 6,
};

/** One worker: cores, RAM and disk in GB, virtual functions of the shared NIC. Same source; disk is derived there. */
export const worker = { cores: 64, ram: 512, disk: 4800, sharedNics: 127 } as const;

/** The largest virtual machine a flavour exists for (869 flavours; a larger wish silently gets the largest). */
export const largestNode = { cores: 64, ram: 256, disk: 1000 } as const;

/** The site most likely meant by a misspelt name, or undefined when none is near. */
export function nearestSite(name: string): string | undefined {
  const wanted = name.toUpperCase();
  let best: { site: string; distance: number } | undefined;
  for (const site of [...productionSites, ...otherSites]) {
    const distance = editDistance(wanted, site);
    if (best === undefined || distance < best.distance) best = { site, distance };
  }
  return best !== undefined && best.distance <= 2 && best.distance < wanted.length ? best.site : undefined;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}

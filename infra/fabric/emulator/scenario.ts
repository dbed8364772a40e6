/**
 * What the emulated testbed is like: its sites, how long things take, who may do what. Plain data, so a test can say exactly which testbed it wants;
 * an empty scenario is the production testbed with a project that may do almost everything.
 */
import { z } from "zod";
import { InfraError } from "../../problem.js";
import { defaultSiteNames, defaultWorkers, type WorkerSpec } from "./default-sites.js";

const count = z.number().int().nonnegative();
const ms = z.number().int().nonnegative().max(3_600_000);

const workerSchema = z.strictObject({
  /** Default `<site>-w<n>.fabric-testbed.net`. */
  name: z.string().min(1).optional(),
  cores: count,
  /** GB */
  ram: count,
  /** GB */
  disk: count,
  /** `Type-Model` to a number, e.g. `GPU-A30: 2`. */
  components: z.record(z.string(), count).default({}),
});

const siteSchema = z.strictObject({
  /** Default: as in production, or three such workers for a name that is not in production. */
  workers: z.array(workerSchema).optional(),
  /** A /17 that FABNetv4 subnets of this site are taken from. Default: by the site's place in the list, from 10.128.0.0. */
  ipv4: z
    .string()
    .regex(/^10\.\d{1,3}\.(0|128)\.0\/17$/)
    .optional(),
  maintenance: z.boolean().default(false),
});

/** Names of the project's rights that the default token has: everything but unlimited leases, outside addresses, mirroring and facility ports. */
export const defaultTags = [
  "VM.NoLimit", "Slice.Multisite", "Net.NoLimitBW", "Component.GPU", "Component.SmartNIC", "Component.NVME", "Component.FPGA", "Component.Storage", "Switch.P4",
]; // biome-ignore format: a list

const scenarioSchema = z.strictObject({
  /** Site name to its shape. Given, it replaces the whole list. */
  sites: z.record(z.string().regex(/^[A-Z0-9]{2,12}$/), siteSchema).optional(),
  /** How long the steps take, in milliseconds. The real ones take minutes. */
  delays: z.strictObject({
    nascent: ms.default(50),
    /** From the ticket until a VM or network is up. */
    configure: ms.default(250),
    modify: ms.default(150),
    renew: ms.default(100),
    close: ms.default(150),
    poa: ms.default(50),
  }).prefault({}),
  /** Whole testbed in maintenance: create, modify and renew are refused. */
  maintenance: z.boolean().default(false),
  /** When given, only these tokens are valid; otherwise anything shaped like a JWT is. */
  tokens: z.array(z.string().min(1)).optional(),
  /** Used where a token's claims do not say. */
  identity: z.strictObject({
    email: z.string().default("emulator@localhost"),
    uuid: z.string().default("00000000-0000-4000-8000-000000000001"),
    project: z.strictObject({
      uuid: z.string().default("00000000-0000-4000-8000-000000000002"),
      name: z.string().default("emulated"),
      tags: z.array(z.string()).default(defaultTags),
    }).prefault({}),
  }).prefault({}),
}); // biome-ignore format: reads as a table

/** What a person writes in a scenario file. */
export type ScenarioInput = z.input<typeof scenarioSchema>;

export interface Worker extends WorkerSpec {
  readonly name: string;
}

export interface Site {
  readonly name: string;
  readonly maintenance: boolean;
  readonly workers: readonly Worker[];
  /** First two bytes and the half of the third of its /17: `{ second: 128, third: 0 }` is 10.128.0.0/17. */
  readonly ipv4: { readonly second: number; readonly third: 0 | 128 };
  /** Place in the list, for numbers that must differ between sites. */
  readonly index: number;
}

/** A scenario with everything filled in. */
export interface Scenario extends Omit<z.output<typeof scenarioSchema>, "sites"> {
  readonly sites: ReadonlyMap<string, Site>;
}

/**
 * Checks a scenario and fills in what it leaves out.
 *
 * @throws InfraError `FAB-EMU-SCENARIO`, one problem for each fault.
 */
export function parseScenario(input: unknown = {}, file?: string): Scenario {
  const parsed = scenarioSchema.safeParse(input ?? {});
  if (!parsed.success) {
    throw new InfraError(
      parsed.error.issues.map((i) => ({
        code: "FAB-EMU-SCENARIO",
        ...(file === undefined ? {} : { file }),
        path: i.path.join("."),
        message: i.message,
        remedy: "correct the scenario",
      })),
    );
  }
  const { sites: given, ...rest } = parsed.data;
  const named = given ?? Object.fromEntries(defaultSiteNames.map((name) => [name, { maintenance: false }]));
  const sites = Object.entries(named).map(([name, site], index) => resolveSite(name, site, index));
  const taken = new Map<string, string>();
  for (const s of sites) {
    const block = `10.${s.ipv4.second}.${s.ipv4.third}.0/17`;
    const other = taken.get(block);
    if (other !== undefined) {
      throw new InfraError({
        code: "FAB-EMU-SCENARIO",
        ...(file === undefined ? {} : { file }),
        path: `sites.${s.name}.ipv4`,
        message: `${block} is also ${other}'s`,
        remedy: "give each site its own /17",
      });
    }
    taken.set(block, s.name);
  }
  return { ...rest, sites: new Map(sites.map((s) => [s.name, s])) };
}

function resolveSite(name: string, site: z.output<typeof siteSchema>, index: number): Site {
  const bytes = site.ipv4?.split(/[./]/).map(Number);
  return {
    name,
    index,
    maintenance: site.maintenance,
    ipv4: {
      second: bytes?.[1] ?? 128 + (index >> 1),
      third: (bytes?.[2] ?? (index % 2) * 128) === 128 ? 128 : 0,
    },
    workers: (site.workers ?? defaultWorkers(name)).map((w, i) => ({
      name:
        ("name" in w && typeof w.name === "string" ? w.name : undefined) ??
        `${name.toLowerCase()}-w${i + 1}.fabric-testbed.net`,
      cores: w.cores,
      ram: w.ram,
      disk: w.disk,
      components: w.components,
    })),
  };
}

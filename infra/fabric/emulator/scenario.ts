/**
 * What the emulated testbed is like: its sites, how long things take, who may do what, and what goes wrong. Plain data, so a test can say exactly
 * which testbed it wants; an empty scenario is the production testbed, well, with a project that may do almost everything.
 *
 * The emulator reads a scenario from the YAML or JSON file SCENARIO_FILE. While it runs it can be given another one (admin-routes.ts; the routes
 * exist when ADMIN_TOKEN_FILE is set, which the emulator fills with a random token, 0600; `Authorization: Bearer <it>`):
 *
 *     GET    /emulator/scenario         what is in force
 *     PUT    /emulator/scenario         another whole scenario; all counts begin anew
 *     PATCH  /emulator/scenario         only these top-level keys; null takes one back to its default
 *     DELETE /emulator/scenario         back to the file's
 *     POST   /emulator/faults           one more fault (a rule of `faults`), or several in a list; answers with their names
 *     POST   /emulator/sliver-faults    likewise for `sliverFaults`
 *     DELETE /emulator/faults[/NAME]    no more faults, of calls and of slivers; or not this one
 *     GET    /emulator/state            {now, slices: [{id, name, owner, project, state, leaseEnd, slivers: [{id, name, kind, state, error?}]}],
 *                                        faults: {NAME: {seen, struck}}, calls: [{n, at, name, method, path, slice?, status?, fault?}]}
 *     POST   /emulator/tokens           a token file's content: {lifetimeSeconds?, refresh?: boolean, email?, uuid?, tags?, project?}
 *
 * What is given this way is kept with the state, so a restart changes nothing. `calls` are the last 1000 since the start, those under way too
 * (no `status`, or none yet): with a `hang` after create, say, a test sees that the slice is made and its answer is not.
 *
 *     seed: 7
 *     latency: { ms: 20, jitterMs: 30 }        # before each answer
 *     clockAheadMs: 0                          # the testbed's clock before the machine's: a lease ends at once
 *     auth: signed                             # only tokens of this emulator's credential manager; default `any` that looks like one
 *     faults:                                  # the first that strikes a call is the one; `when: after` means that the call did its work
 *       - { calls: create, times: 1, fault: { kind: drop, when: after } }
 *       - { calls: [slice, slivers], probability: 0.2, fault: { kind: half-json } }
 *       - { calls: modify, skip: 1, times: 2, fault: { kind: refuse, text: "Unable to modify Slice# {slice} that is not yet stable, try again later" } }
 *       - { calls: reads, times: 5, fault: { kind: proxy, status: 503 } }
 *       - { calls: tokens-refresh, times: 1, fault: { kind: drop, when: after } }
 *     sliverFaults:                            # `element` is a name, * any text
 *       - { element: "n*", type: VM, site: AMST, times: 2, fault: { kind: fail, at: redeem, text: "..." } }
 *       - { type: FABNetv4, probability: 0.1, fault: { kind: slow, ms: 2000 } }
 *       - { element: core, fault: { kind: die, ms: 500 } }
 *
 * Whether a fault strikes depends on the seed, its name and how many fitted it before, and on nothing else: the same seed and the same calls give the
 * same faults. All kinds are in fault-schema.ts, the orchestrator's own words for the usual refusals in texts.ts.
 */
import { z } from "zod";
import { InfraError } from "../../problem.js";
import { defaultSiteNames, defaultWorkers, type WorkerSpec } from "./default-sites.js";
import { type CallRule, callRuleSchema, type SliverRule, sliverRuleSchema } from "./fault-schema.js";

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
  /** `signed`: only tokens that this emulator's credential manager has issued and not taken back. */
  auth: z.enum(["any", "signed"]).default("any"),
  /** How long the credential manager's tokens live, where a request does not say: 4 hours and a day at the real one. */
  tokenSeconds: z.strictObject({
    id: z.number().int().positive().default(4 * 3600),
    refresh: z.number().int().positive().default(24 * 3600),
  }).prefault({}),
  /** For all draws. */
  seed: z.number().int().nonnegative().default(1),
  /** Before each answer: `ms`, and up to `jitterMs` more, drawn from the seed. */
  latency: z.strictObject({ ms: ms.default(0), jitterMs: ms.default(0) }).prefault({}),
  /** The testbed's clock is that much before the machine's. */
  clockAheadMs: z.number().int().nonnegative().max(315_360_000_000).default(0),
  faults: z.array(callRuleSchema).default([]),
  sliverFaults: z.array(sliverRuleSchema).default([]),
  /** Used where a token's claims do not say. */
  identity: z.strictObject({
    email: z.string().default("emulator@localhost"),
    name: z.string().min(1).default("Emulated Experimenter"),
    /** User name at the bastion. */
    bastionLogin: z.string().min(1).default("emulated_0000000001"),
    uuid: z.string().default("00000000-0000-4000-8000-000000000001"),
    project: z.strictObject({
      uuid: z.string().default("00000000-0000-4000-8000-000000000002"),
      name: z.string().default("emulated"),
      tags: z.array(z.string()).default(defaultTags),
    }).prefault({}),
  }).prefault({}),
}); // biome-ignore format: reads as a table

/** A rule with the name it is known by. */
type Named<T> = T & { readonly name: string };

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
export interface Scenario extends Omit<z.output<typeof scenarioSchema>, "sites" | "faults" | "sliverFaults"> {
  readonly sites: ReadonlyMap<string, Site>;
  readonly faults: readonly Named<CallRule>[];
  readonly sliverFaults: readonly Named<SliverRule>[];
  /** As it was written. */
  readonly source: unknown;
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
  const { sites: given, faults: callRules, sliverFaults: sliverRules, ...rest } = parsed.data;
  const faults = callRules.map((r, i) => ({ ...r, name: r.name ?? `fault-${i + 1}` }));
  const sliverFaults = sliverRules.map((r, i) => ({ ...r, name: r.name ?? `sliver-${i + 1}` }));
  checkNames(
    [...faults, ...sliverFaults].map((r) => r.name),
    file,
  );
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
  return {
    ...rest,
    faults,
    sliverFaults,
    source: input ?? {},
    sites: new Map(sites.map((s) => [s.name, s])),
  };
}

/** Counts are kept by name. */
function checkNames(names: readonly string[], file: string | undefined): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new InfraError({
    code: "FAB-EMU-SCENARIO",
    ...(file === undefined ? {} : { file }),
    path: "faults",
    message: `two faults are named ${twice}`,
    remedy: "give each its own name",
  });
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

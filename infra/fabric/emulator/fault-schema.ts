/** What may go wrong on the emulated testbed, as a scenario writes it. The page about it is at the top of scenario.ts. */
import { z } from "zod";

const ms = z.number().int().nonnegative().max(315_360_000_000);
const words = z.string().min(1).max(20_000);

/** Calls by name, as `calls` of a fault names them. */
export const callNames = [
  // the orchestrator
  "create", "slices", "slice", "modify", "accept", "renew", "delete", "slivers", "resources", "poa", "poas",
  // the credential manager
  "tokens-create", "tokens-refresh", "tokens-revoke", "tokens", "certs",
  // the core API
  "whoami", "people", "projects", "sshkeys",
] as const; // biome-ignore format: a list

export type CallName = (typeof callNames)[number];

const writing: readonly CallName[] = ["create", "modify", "accept", "renew", "delete", "poa"];
const reading: readonly CallName[] = ["slices", "slice", "slivers", "resources", "poas"];

/** Names that stand for several: `*` all calls, `reads` and `writes` those of the orchestrator. */
const groups = { "*": callNames, reads: reading, writes: writing } as const;

const calls = z
  .union([
    z.enum([...callNames, "*", "reads", "writes"]),
    z.array(z.enum([...callNames, "*", "reads", "writes"])).min(1),
  ])
  .transform((given): readonly CallName[] =>
    (typeof given === "string" ? [given] : given).flatMap((g) => (g in groups ? groups[g as keyof typeof groups] : [g as CallName])),
  ); // biome-ignore format: reads as a sentence

const how = {
  /** By which it is known in the state and taken back. Default `fault-<n>` or `sliver-<n>`. */
  name: z.string().regex(/^[\w.-]{1,64}$/).optional(),
  /** So many that fit are let through first. */
  skip: z.number().int().nonnegative().default(0),
  /** It strikes so often, then no more. Default: for ever. */
  times: z.number().int().positive().optional(),
  /** Whether it strikes one that fits: drawn from the seed, the fault's name and how many fitted before. */
  probability: z.number().min(0).max(1).default(1),
}; // biome-ignore format: reads as a table

const when = z.enum(["before", "after"]);

const callFault = z.discriminatedUnion("kind", [
  /** Refused as the orchestrator words it; `{slice}` in the text is the slice's id. */
  z.strictObject({ kind: z.literal("refuse"), when: when.default("before"), status: z.union([z.literal(400), z.literal(401), z.literal(403), z.literal(404), z.literal(500)]).default(500), text: words }),
  /** A page of the proxy in front of it. */
  z.strictObject({ kind: z.literal("proxy"), when: when.default("before"), status: z.union([z.literal(502), z.literal(503), z.literal(504)]).default(502) }),
  /** The connection is closed without an answer. */
  z.strictObject({ kind: z.literal("drop"), when: when.default("before") }),
  /** No answer for so long, then the connection is closed. */
  z.strictObject({ kind: z.literal("hang"), when: when.default("before"), ms: ms.default(3_600_000) }),
  /** The connection is closed within the answer, after this share of it. */
  z.strictObject({ kind: z.literal("cut"), share: z.number().min(0).max(1).default(0.5) }),
  /** A complete answer whose JSON ends early. */
  z.strictObject({ kind: z.literal("half-json"), share: z.number().min(0).max(1).default(0.5) }),
  /** 200 with a page instead of JSON. */
  z.strictObject({ kind: z.literal("html") }),
  /** An answer of so many bytes. */
  z.strictObject({ kind: z.literal("huge"), megabytes: z.number().int().positive().max(1024).default(100) }),
  /** Late, and otherwise well. */
  z.strictObject({ kind: z.literal("delay"), when: when.default("before"), ms }),
]); // biome-ignore format: reads as a table

/** One thing that goes wrong with calls. */
export const callRuleSchema = z.strictObject({
  ...how,
  calls,
  /** Only calls about the slice of this name. */
  slice: z.string().optional(),
  fault: callFault,
});

const sliverFault = z.discriminatedUnion("kind", [
  /** Refused by the broker (`ticket`), lost at the site (`redeem`), or a change of it that comes to nothing (`modify`). */
  z.strictObject({ kind: z.literal("fail"), at: z.enum(["ticket", "redeem", "modify"]).default("redeem"), text: words.default("Insufficient resources: No hosts available to provision the {name}") }),
  /** Up that much later. A slice cannot be changed or deleted meanwhile. */
  z.strictObject({ kind: z.literal("slow"), ms }),
  /** Up, and lost that much later. */
  z.strictObject({ kind: z.literal("die"), ms: ms.default(0), text: words.default("VM {name} is in ERROR state") }),
]); // biome-ignore format: reads as a table

/** One thing that goes wrong with slivers. `element`, `type`, `site` choose which; all that are given must fit. */
export const sliverRuleSchema = z.strictObject({
  ...how,
  /** The whole name of the node or network, `*` standing for any text. */
  element: z.string().min(1).optional(),
  /** `VM`, `Switch`, `FABNetv4`, `L2STS`, ... */
  type: z.string().min(1).optional(),
  site: z.string().min(1).optional(),
  /** Only in the slice of this name. */
  slice: z.string().optional(),
  fault: sliverFault,
});

export type CallRule = z.output<typeof callRuleSchema>;
export type CallFault = CallRule["fault"];
export type SliverRule = z.output<typeof sliverRuleSchema>;
export type SliverFault = SliverRule["fault"];

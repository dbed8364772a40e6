import { z } from "zod";
import { InfraError } from "../../infra/problem.js";

const changeSchema = z
  .strictObject({
    between: z
      .tuple([z.int().min(0), z.int().min(1)])
      .optional()
      .describe("At a random moment inside a round after the first and before the second number."),
    after: z.int().min(1).optional().describe("Inside the first round after this one."),
    do: z
      .enum(["leave", "join", "replace"])
      .describe(
        "leave: the request's user is taken out of the party's agreement. join: the party is not asked at first; its rule for the user, as its file has it, is put in. replace: the agreement becomes another one (`with`).",
      ),
    party: z.string().min(1),
    with: z
      .string()
      .min(1)
      .optional()
      .describe("Of replace: the file of the new agreement, in the experiment's folder."),
    expect: z
      .enum(["refused", "goesOn"])
      .optional()
      .describe(
        "Of replace: what the next round must be. Default: refused. After leave it is refused, after join the job goes on.",
      ),
  })
  .refine((c) => (c.between === undefined) !== (c.after === undefined), {
    error: "give either `between` or `after`",
  })
  .refine((c) => (c.do === "replace") === (c.with !== undefined), {
    path: ["with"],
    error: "replace needs `with`, the others have none",
  })
  .refine((c) => c.do === "replace" || c.expect === undefined, {
    path: ["expect"],
    error: "only replace may say what is expected",
  });

/** Who has left cannot leave again before it has joined, and the other way round. */
function refuseTwice(
  changes: readonly { readonly do: string; readonly party: string }[],
  ctx: z.RefinementCtx,
): void {
  const last = new Map<string, string>();
  for (const [i, change] of changes.entries()) {
    if (change.do === "replace") continue;
    if (last.get(change.party) === change.do)
      ctx.addIssue({ code: "custom", path: [i, "do"], message: `${change.party} does so twice in a row` });
    last.set(change.party, change.do);
  }
}

/** What experiment.yaml may say. */
export const settingsSchema = z.strictObject({
  request: z.string().min(1).describe("Request type."),
  user: z.strictObject({ id: z.string().min(1), userName: z.string().min(1) }),
  dataProviders: z.array(z.string().min(1)).min(1),
  rounds: z.int().min(1).max(100_000),
  runs: z.int().min(1).max(1000).default(1),
  seed: z.int().min(0).default(1),
  data: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("Data of the request, beside `rounds` and `seed`."),
  changes: z
    .array(changeSchema)
    .max(20)
    .default([])
    .superRefine(refuseTwice)
    .describe("What changes while a run goes on, in this order, each in a later round than the one before."),
});

/** An experiment as `experiment.yaml` describes it. */
export type ExperimentSettings = z.output<typeof settingsSchema>;
export type PlannedChange = ExperimentSettings["changes"][number];

/** What the round after a change must be, where the party takes part in the job. Pure. */
export const expectedAfter = (change: PlannedChange): "refused" | "goesOn" =>
  change.do === "join" ? "goesOn" : (change.expect ?? "refused");

/** Parties that are not in at the beginning: what they do first is to join. Pure. */
export function joinLater({ changes }: Pick<ExperimentSettings, "changes">): readonly string[] {
  const parties = [...new Set(changes.map(({ party }) => party))];
  return parties.filter(
    (party) => changes.find((c) => c.party === party && c.do !== "replace")?.do === "join",
  );
}

/** Checks the text of `experiment.yaml`. Throws EXP-SETTINGS with all problems and their paths. */
export function parseSettings(raw: unknown, file: string): ExperimentSettings {
  const parsed = settingsSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new InfraError(
    parsed.error.issues.map((issue) => ({
      code: "EXP-SETTINGS",
      file,
      path: issue.path.join(".") || "(whole file)",
      message: issue.message,
      remedy: "see docs/experiments.md",
    })),
  );
}

import { z } from "zod";
import { InfraError } from "../../infra/problem.js";

const changeSchema = z
  .strictObject({
    between: z
      .tuple([z.int().min(0), z.int().min(1)])
      .optional()
      .describe("At a random moment inside a round after the first and before the second number."),
    after: z.int().min(1).optional().describe("Inside the first round after this one."),
    do: z.literal("leave").describe("leave: the request's user is taken out of the party's agreement."),
    party: z.string().min(1),
  })
  .refine((c) => (c.between === undefined) !== (c.after === undefined), {
    error: "give either `between` or `after`",
  });

const settingsSchema = z.strictObject({
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
    .max(1)
    .default([])
    .describe("What changes while a run goes on; one change for now."),
});

/** An experiment as `experiment.yaml` describes it. */
export type ExperimentSettings = z.output<typeof settingsSchema>;
export type PlannedChange = ExperimentSettings["changes"][number];

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

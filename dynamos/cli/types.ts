import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { InfraError } from "../../infra/problem.js";
import type { RequestType } from "../../policy/contract/documents.js";
import { validateDocument } from "../../policy/contract/schemas.js";
import { requestTypesSource } from "../client/request-types.js";
import { readExperiment } from "../experiment.js";
import type { CommandContext } from "./context.js";

/** `dynamos-fabric types`: TypeScript types of the experiment's requests, for their callers and for its microservices. */
export function registerTypes(program: Command, context: () => CommandContext): void {
  program
    .command("types")
    .description("write the TypeScript types of the experiment's requests, from their JSON Schemas")
    .option("--out <file>", "where to (default: requests.d.ts in the experiment's folder)")
    .action(async ({ out }: { readonly out?: string }) => {
      const { project, spec } = context();
      const folder = resolve(project, spec.experiment);
      const { experiment } = readExperiment(folder, spec.experiment);
      const documents = experiment.documents.filter(({ kind }) => kind === "requestType");
      const problems = documents.flatMap(({ name, value, file }) =>
        validateDocument("requestType", name, value).map((problem) => ({ ...problem, file })),
      );
      if (problems.length > 0) throw new InfraError(problems);
      const file = out === undefined ? join(folder, "requests.d.ts") : resolve(out);
      writeFileSync(
        file,
        await requestTypesSource(documents.map(({ value }) => value as unknown as RequestType)),
      );
      process.stdout.write(`${file}: ${documents.map(({ name }) => name).join(", ")}\n`);
    });
}

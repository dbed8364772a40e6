import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { stringify } from "yaml";
import { contentHash } from "../../infra/content-hash.js";
import { InfraError } from "../../infra/problem.js";
import { type DocumentsApi, documentsApi } from "../documents-api.js";
import { DOCUMENT_FOLDERS, type ExperimentDocument, readExperiment } from "../experiment.js";
import type { CommandContext } from "./context.js";

/** `dynamos-fabric agreements pull`: brings what was changed through the orchestrator's API into the experiment's files. */
export function registerAgreements(program: Command, context: () => CommandContext): void {
  program
    .command("agreements")
    .description("the data stewards' agreements")
    .command("pull")
    .description("write the running marketplace's agreements into the experiment's files")
    .action(async () => {
      const { project, state, spec } = context();
      const { experiment, problems } = readExperiment(join(project, spec.experiment), spec.experiment);
      if (problems.length > 0) throw new InfraError(problems);
      const api = documentsApi(state);
      if (api === undefined)
        throw new InfraError({
          code: "ORC-UNREACHABLE",
          message: "the orchestrator is not running",
          remedy: "bring the stack up: dynamos-fabric up",
        });
      const done = await pullAgreements(api, experiment.folder, experiment.documents);
      process.stdout.write(
        done.length === 0 ? "the files are as the marketplace has them\n" : `${done.join("\n")}\n`,
      );
    });
}

/** Makes files of agreements what is live, and says what it did, a line a file. A file whose agreement was taken away is removed. */
export async function pullAgreements(
  api: Pick<DocumentsApi, "get" | "list">,
  folder: string,
  documents: readonly ExperimentDocument[],
): Promise<string[]> {
  const files = documents.filter((d) => d.kind === "agreement");
  const live = await api.list("agreement");
  const done: string[] = [];
  for (const { name, document, revision } of live) {
    const own = files.find((f) => f.name === name);
    if (own !== undefined && contentHash(own.value) === contentHash(document)) continue;
    const file = own?.file ?? `${DOCUMENT_FOLDERS.agreement}/${name}.json`;
    writeFileSync(
      join(folder, file),
      file.endsWith(".json") ? `${JSON.stringify(document, null, 2)}\n` : stringify(document),
    );
    done.push(`${file}: ${own === undefined ? "new" : "changed"}, revision ${revision}`);
  }
  for (const gone of files.filter((f) => !live.some((l) => l.name === f.name))) {
    rmSync(join(folder, gone.file));
    done.push(`${gone.file}: removed, there is no such agreement any more`);
  }
  return done;
}

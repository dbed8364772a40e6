import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { stringify } from "yaml";
import { contentHash } from "../../infra/content-hash.js";
import { InfraError } from "../../infra/problem.js";
import type { DocumentsApi } from "../../policy/setup/documents-api.js";
import { documentChanges } from "../document-changes.js";
import { documentsApi } from "../documents-api.js";
import { DOCUMENT_FOLDERS, type ExperimentDocument, readExperiment } from "../experiment.js";
import type { CommandContext } from "./context.js";

/** `dynamos-fabric agreements pull | diff | history`: the running marketplace's agreements, and the experiment's files of them. */
export function registerAgreements(program: Command, context: () => CommandContext): void {
  const agreements = program.command("agreements").description("the data stewards' agreements");
  const files = () => {
    const { project, spec } = context();
    const { experiment, problems } = readExperiment(join(project, spec.experiment), spec.experiment);
    if (problems.length > 0) throw new InfraError(problems);
    return experiment;
  };
  const api = (): DocumentsApi => {
    const found = documentsApi(context().state);
    if (found !== undefined) return found;
    throw new InfraError({
      code: "ORC-UNREACHABLE",
      message: "the orchestrator is not running",
      remedy: "bring the stack up: dynamos-fabric up",
    });
  };

  agreements
    .command("pull")
    .description("write the running marketplace's agreements into the experiment's files")
    .action(async () => {
      const { folder, documents } = files();
      print(await pullAgreements(api(), folder, documents), "the files are as the marketplace has them");
    });
  agreements
    .command("diff")
    .description(
      "what the running marketplace's agreements have and the experiment's files have not, and the reverse",
    )
    .action(async () => {
      print(await diffAgreements(api(), files().documents), "the files are as the marketplace has them");
    });
  agreements
    .command("history")
    .argument("<party>", "the data steward")
    .description("an agreement's changes, the newest first, by the store's revisions")
    .action(async (party: string) => {
      print(await agreementHistory(api(), party), `there has never been an agreement of ${party}`);
    });
}

function print(lines: readonly string[], none: string): void {
  process.stdout.write(lines.length === 0 ? `${none}\n` : `${lines.join("\n")}\n`);
}

/** Makes files of agreements what is live, and says what it did, a line a file. A file whose agreement was taken away is removed. */
export async function pullAgreements(
  api: Pick<DocumentsApi, "list">,
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

/** What `pull` would change: for each agreement that differs its revision, then what came (`+`) and went (`-`) against the file. */
export async function diffAgreements(
  api: Pick<DocumentsApi, "list">,
  documents: readonly ExperimentDocument[],
): Promise<string[]> {
  const files = documents.filter((d) => d.kind === "agreement");
  const live = await api.list("agreement");
  return [
    ...live.flatMap(({ name, document, revision }) => {
      const own = files.find((f) => f.name === name);
      if (own === undefined) return [`${name}  revision ${revision}  has no file`];
      if (contentHash(own.value) === contentHash(document)) return [];
      return [
        `${name}  revision ${revision}  ${own.file}`,
        ...indented(documentChanges(own.value, document)),
      ];
    }),
    ...files
      .filter((f) => !live.some((l) => l.name === f.name))
      .map((f) => `${f.name}  not in the marketplace  ${f.file}`),
  ];
}

/** An agreement's changes, the newest first: the revision of each, and what came and went. */
export async function agreementHistory(
  api: Pick<DocumentsApi, "agreementHistory">,
  party: string,
): Promise<string[]> {
  const versions = await api.agreementHistory(party);
  return versions
    .map(({ revision, document }, i) => {
      const before = versions[i - 1]?.document ?? null;
      if (document === null) return [`revision ${revision}  taken away`];
      if (before === null) return [`revision ${revision}  written`];
      const changes = documentChanges(before, document);
      return [
        `revision ${revision}  ${changes.length === 0 ? "written again, the same" : "changed"}`,
        ...indented(changes),
      ];
    })
    .reverse()
    .flat();
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { InfraError, type Problem } from "../infra/problem.js";
import type { DocumentKind } from "../policy/contract/documents.js";

/** The folder of each kind of document in an experiment. A microservice's program lies beside its document. */
export const DOCUMENT_FOLDERS: Readonly<Record<DocumentKind, string>> = {
  agreement: "agreements",
  archetype: "archetypes",
  requestType: "requestTypes",
  microservice: "microservices",
  dataset: "datasets",
};

/** The key by which a document's file names the revision it was written for; not part of the document. */
export const REVISION_KEY = "$revision";

/** One document of an experiment, as its file has it; its form is not checked yet. */
export interface ExperimentDocument {
  readonly kind: DocumentKind;
  readonly name: string;
  /** Relative to the experiment's folder, e.g. `agreements/clientone.json`. */
  readonly file: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** The live revision that the file may replace, where `agreements pull` wrote one. */
  readonly revision?: number;
}

/** An experiment: a folder of documents, data and programs. */
export interface Experiment {
  /** Absolute. */
  readonly folder: string;
  readonly documents: readonly ExperimentDocument[];
  /** What experiment.yaml says of requests and changes: for `dynamos-fabric experiment`, not for the deployment. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Reads an experiment's folder: all documents it can, and everything that is wrong with the rest.
 *
 * Codes: DOC-FOLDER, DOC-READ, DOC-SYNTAX, DOC-NAME, DOC-REVISION, DOC-NO-AGREEMENT.
 *
 * @param folder absolute path
 * @param shown how the specification names it, for messages
 */
export function readExperiment(
  folder: string,
  shown = folder,
): { readonly experiment: Experiment; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  if (!isFolder(folder)) {
    const problem = {
      code: "DOC-FOLDER",
      path: "experiment",
      message: `no folder ${shown}`,
      remedy: "give a folder relative to Pulumi.yaml, e.g. examples/titanic",
    };
    return { experiment: { folder, documents: [], settings: {} }, problems: [problem] };
  }
  const documents: ExperimentDocument[] = [];
  for (const [kind, place] of Object.entries(DOCUMENT_FOLDERS) as [DocumentKind, string][]) {
    for (const name of filesOf(join(folder, place))) {
      const read = readDocument(kind, folder, `${place}/${name}`);
      if ("problem" in read) problems.push(read.problem);
      else documents.push(read.document);
    }
  }
  if (
    !documents.some((d) => d.kind === "agreement") &&
    !problems.some((p) => p.file?.startsWith("agreements/"))
  ) {
    problems.push({
      code: "DOC-NO-AGREEMENT",
      file: shown,
      path: "agreements",
      message: "no agreement: nobody would have a right",
      remedy: "write agreements/<party>.json for each party with data",
    });
  }
  const settings = readSettings(folder);
  if ("problem" in settings) problems.push(settings.problem);
  return {
    experiment: { folder, documents, settings: "problem" in settings ? {} : settings.value },
    problems,
  };
}

function filesOf(folder: string): string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder)
    .filter((name) => [".json", ".yaml", ".yml"].includes(extname(name)) && !name.startsWith("."))
    .sort();
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

type Read<T> = T | { readonly problem: Problem };

function readDocument(
  kind: DocumentKind,
  folder: string,
  file: string,
): Read<{ readonly document: ExperimentDocument }> {
  const parsed = parseFile(folder, file);
  if ("problem" in parsed) return parsed;
  const { [REVISION_KEY]: revision, ...value } = parsed.value;
  const expected = file.slice(file.lastIndexOf("/") + 1, -extname(file).length);
  if (value.name !== expected) {
    const message = `the file is named ${expected}, the document ${JSON.stringify(value.name ?? null)}`;
    return { problem: { code: "DOC-NAME", file, path: "name", message, remedy: "give both one name" } };
  }
  if (revision !== undefined && !(Number.isInteger(revision) && (revision as number) >= 0)) {
    return {
      problem: {
        code: "DOC-REVISION",
        file,
        path: REVISION_KEY,
        message: "not a revision",
        remedy: "write the number that a preview named, or remove it",
      },
    };
  }
  return {
    document: { kind, name: expected, file, value, ...(typeof revision === "number" ? { revision } : {}) },
  };
}

function readSettings(folder: string): Read<{ readonly value: Readonly<Record<string, unknown>> }> {
  const file = "experiment.yaml";
  if (!statSync(join(folder, file), { throwIfNoEntry: false })?.isFile()) return { value: {} };
  return parseFile(folder, file);
}

/** One file of an experiment, JSON or YAML. Throws DOC-READ, DOC-SYNTAX. */
export function readDocumentFile(folder: string, file: string): Readonly<Record<string, unknown>> {
  const parsed = parseFile(folder, file);
  if ("problem" in parsed) throw new InfraError(parsed.problem);
  return parsed.value;
}

/** JSON is read as YAML, which has it as a part, for its line numbers and because it finds a key that stands twice. */
function parseFile(
  folder: string,
  file: string,
): Read<{ readonly value: Readonly<Record<string, unknown>> }> {
  let text: string;
  try {
    text = readFileSync(join(folder, file), "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    return {
      problem: {
        code: "DOC-READ",
        file,
        message: `cannot be read (${reason})`,
        remedy: "see the file's permissions",
      },
    };
  }
  const parsed = parseText(text, file.endsWith(".json"));
  if ("message" in parsed)
    return {
      problem: {
        code: "DOC-SYNTAX",
        file,
        message: parsed.message,
        remedy: "correct the file at that place",
      },
    };
  return parsed;
}

/** A text's object, or what is wrong with its syntax and where. Keys that stand twice are wrong. */
export function parseText(
  text: string,
  json: boolean,
): { readonly value: Readonly<Record<string, unknown>> } | { readonly message: string } {
  const lines = new LineCounter();
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const error = parsed.errors[0];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    return { message: `line ${line}, column ${col}: ${error.message}` };
  }
  if (json) {
    try {
      JSON.parse(text);
    } catch (fault) {
      return { message: fault instanceof Error ? fault.message : String(fault) };
    }
  }
  const value: unknown = parsed.toJS();
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { message: "not an object" };
  return { value: value as Readonly<Record<string, unknown>> };
}

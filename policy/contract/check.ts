import { agreementProblems, columnsOfListed, unknown } from "./agreement-check.js";
import { DOCUMENT_KINDS, type DocumentKind, type DocumentOf, type RequestType } from "./documents.js";
import { documentPath } from "./paths.js";
import type { Problem } from "./problem.js";
import { validateDocument } from "./validate.js";
import { workflowProblems } from "./workflow-check.js";

/** All documents of a marketplace by kind and name, as read: nothing about them is known yet. */
export type Documents = Readonly<Record<DocumentKind, Readonly<Record<string, unknown>>>>;

/** A problem and the document it is in; `path` is inside the document. */
export interface DocumentProblem extends Problem {
  readonly kind: DocumentKind;
  readonly name: string;
}

type Valid = { readonly [K in DocumentKind]: ReadonlyMap<string, DocumentOf[K]> };
type Report = (path: readonly (string | number)[], code: string, message: string, remedy: string) => void;

/**
 * Everything that is wrong with a marketplace's documents, each by itself and together: names that nothing bears, users without rights,
 * agreements that name nobody or grant what their steward does not offer, workflows that cannot run. Pure.
 *
 * @param parties - all parties of the marketplace, where known: agreements and compute providers must be among them
 */
export function checkDocuments(all: Documents, parties?: Iterable<string>): DocumentProblem[] {
  const problems: DocumentProblem[] = [];
  const valid = Object.fromEntries(DOCUMENT_KINDS.map((kind) => [kind, new Map()])) as unknown as {
    [K in DocumentKind]: Map<string, unknown>;
  };
  for (const kind of DOCUMENT_KINDS) {
    for (const [name, value] of Object.entries(all[kind])) {
      const found = validateDocument(kind, name, value);
      if (found.length === 0) valid[kind].set(name, value);
      problems.push(...found.map((problem) => ({ kind, name, ...problem })));
    }
  }
  // What is there but wrong in itself has been told: it is not unknown as well.
  const known = (kind: DocumentKind): ReadonlySet<string> => new Set(Object.keys(all[kind]));
  const names = {
    archetype: known("archetype"),
    requestType: known("requestType"),
    microservice: known("microservice"),
    dataset: known("dataset"),
  };
  const members = new Set(parties ?? Object.keys(all.agreement));
  const documents = valid as unknown as Valid;

  const reporter =
    (kind: DocumentKind, name: string): Report =>
    (path, code, message, remedy) =>
      problems.push({ kind, name, code, path: documentPath(path), message, remedy });

  for (const [name, agreement] of documents.agreement) {
    if (Object.keys(agreement.relations).length === 0)
      reporter("agreement", name)(
        ["relations"],
        "DOC-AGREEMENT-NOBODY",
        "names nobody",
        "name a user, or remove the agreement",
      );
    const found = agreementProblems(agreement, {
      archetypes: names.archetype,
      requestTypes: names.requestType,
      dataSets: names.dataset,
      parties: members,
    });
    problems.push(...found.map((problem) => ({ kind: "agreement" as const, name, ...problem })));
  }
  for (const [name, type] of documents.requestType)
    checkRequestType(type, names, documents, reporter("requestType", name));
  for (const [name, service] of documents.microservice) {
    unknown(
      service.invalidArchetypes,
      ["invalidArchetypes"],
      names.archetype,
      { code: "DOC-ARCHETYPE-UNKNOWN", what: "archetype" },
      reporter("microservice", name),
    );
  }
  return problems;
}

interface Names {
  readonly archetype: ReadonlySet<string>;
  readonly requestType: ReadonlySet<string>;
  readonly microservice: ReadonlySet<string>;
  readonly dataset: ReadonlySet<string>;
}

function checkRequestType(
  type: RequestType,
  names: Names,
  { microservice, archetype }: Pick<Valid, "microservice" | "archetype">,
  report: Report,
): void {
  unknown(
    type.requiredServices,
    ["requiredServices"],
    names.microservice,
    { code: "DOC-SERVICE-UNKNOWN", what: "microservice" },
    report,
  );
  unknown(
    type.optionalServices ?? [],
    ["optionalServices"],
    names.microservice,
    { code: "DOC-SERVICE-UNKNOWN", what: "microservice" },
    report,
  );
  unknown(
    type.dataSets ?? [],
    ["dataSets"],
    names.dataset,
    { code: "DOC-DATASET-UNKNOWN", what: "data set" },
    report,
  );
  columnsOfListed({ ...type, dataSets: type.dataSets ?? [] }, [], names.dataset, report);
  for (const { path, code, message, remedy } of workflowProblems(type, names.microservice, microservice, [
    ...archetype.values(),
  ]))
    report(path, code, message, remedy);
}

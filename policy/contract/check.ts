import {
  type Agreement,
  DOCUMENT_KINDS,
  type DocumentKind,
  type DocumentOf,
  type Microservice,
  type RequestType,
} from "./documents.js";
import { documentPath } from "./paths.js";
import type { Problem } from "./problem.js";
import { suggestion } from "./suggest.js";
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

  for (const [name, agreement] of documents.agreement)
    checkAgreement(agreement, names, members, reporter("agreement", name));
  for (const [name, type] of documents.requestType)
    checkRequestType(type, names, documents.microservice, reporter("requestType", name));
  for (const [name, service] of documents.microservice) {
    unknown(
      service.invalidArchetypes,
      ["invalidArchetypes"],
      names.archetype,
      "DOC-ARCHETYPE-UNKNOWN",
      "archetype",
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

function checkAgreement(
  agreement: Agreement,
  names: Names,
  members: ReadonlySet<string>,
  report: Report,
): void {
  if (!members.has(agreement.name)) {
    report(["name"], "DOC-PARTY-UNKNOWN", `no party ${agreement.name}`, suggestion(agreement.name, members));
  }
  unknown(
    agreement.archetypes,
    ["archetypes"],
    names.archetype,
    "DOC-ARCHETYPE-UNKNOWN",
    "archetype",
    report,
  );
  unknown(agreement.computeProviders, ["computeProviders"], members, "DOC-PARTY-UNKNOWN", "party", report);
  const users = Object.entries(agreement.relations);
  if (users.length === 0) {
    report(["relations"], "DOC-AGREEMENT-NOBODY", "names nobody", "name a user, or remove the agreement");
  }
  for (const [user, relation] of users) {
    const at = (field: string): readonly string[] => ["relations", user, field];
    if (relation.requestTypes.length === 0) {
      report(at("requestTypes"), "POL-USER-NO-RIGHTS", "empty", "name a request type or remove the user");
    }
    if (relation.allowedArchetypes.length === 0) {
      report(at("allowedArchetypes"), "POL-USER-NO-RIGHTS", "empty", "name an archetype or remove the user");
    }
    unknown(
      relation.requestTypes,
      at("requestTypes"),
      names.requestType,
      "DOC-REQUEST-TYPE-UNKNOWN",
      "request type",
      report,
    );
    unknown(
      relation.dataSets ?? [],
      at("dataSets"),
      names.dataset,
      "DOC-DATASET-UNKNOWN",
      "data set",
      report,
    );
    offered(relation.allowedArchetypes, at("allowedArchetypes"), agreement.archetypes, "archetypes", report);
    offered(
      relation.allowedComputeProviders,
      at("allowedComputeProviders"),
      agreement.computeProviders,
      "computeProviders",
      report,
    );
  }
}

function checkRequestType(
  type: RequestType,
  names: Names,
  services: ReadonlyMap<string, Microservice>,
  report: Report,
): void {
  unknown(
    type.requiredServices,
    ["requiredServices"],
    names.microservice,
    "DOC-SERVICE-UNKNOWN",
    "microservice",
    report,
  );
  unknown(
    type.optionalServices ?? [],
    ["optionalServices"],
    names.microservice,
    "DOC-SERVICE-UNKNOWN",
    "microservice",
    report,
  );
  unknown(type.dataSets ?? [], ["dataSets"], names.dataset, "DOC-DATASET-UNKNOWN", "data set", report);
  for (const { path, code, message, remedy } of workflowProblems(type, names.microservice, services))
    report(path, code, message, remedy);
}

function unknown(
  used: readonly string[],
  path: readonly string[],
  known: ReadonlySet<string>,
  code: string,
  what: string,
  report: Report,
): void {
  for (const [i, name] of used.entries()) {
    if (!known.has(name)) report([...path, i], code, `no ${what} ${name}`, suggestion(name, known));
  }
}

/** What a relation allows counts only where the agreement as a whole offers it: else it looks like a right and is none. */
function offered(
  used: readonly string[],
  path: readonly string[],
  offer: readonly string[],
  field: string,
  report: Report,
): void {
  for (const [i, name] of used.entries()) {
    if (!offer.includes(name)) {
      report(
        [...path, i],
        "DOC-NOT-OFFERED",
        `${name} is not in the agreement's own ${field}, so it gives no right`,
        `add it to ${field}, or remove it here`,
      );
    }
  }
}

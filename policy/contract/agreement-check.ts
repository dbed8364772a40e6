import type { Agreement, Relation, Validity } from "./documents.js";
import { documentPath } from "./paths.js";
import type { Problem } from "./problem.js";
import { suggestion } from "./suggest.js";

/** Names that an agreement may use. */
export interface KnownNames {
  readonly archetypes: ReadonlySet<string>;
  readonly requestTypes: ReadonlySet<string>;
  readonly dataSets: ReadonlySet<string>;
  /** Absent: who the parties are is not known, so any name may be one. A party that does not exist gets no right by it. */
  readonly parties?: ReadonlySet<string>;
}

type Path = readonly (string | number)[];
type Report = (path: Path, code: string, message: string, remedy: string) => void;

/**
 * What is wrong with an agreement among the marketplace's other documents: names that nothing bears, users without any right, and rules that
 * contradict each other, so that they look like a right and are none. The agreement must be valid by itself (`validateDocument`). Empty: nothing. Pure.
 *
 * An agreement that names nobody is right: it is how a steward takes everything back.
 */
export function agreementProblems(agreement: Agreement, known: KnownNames): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, code, message, remedy) =>
    problems.push({ code, path: documentPath(path), message, remedy });
  const { parties } = known;
  if (parties !== undefined && !parties.has(agreement.name))
    report(["name"], "DOC-PARTY-UNKNOWN", `no party ${agreement.name}`, suggestion(agreement.name, parties));
  unknown(agreement.archetypes, ["archetypes"], known.archetypes, ARCHETYPE, report);
  if (parties !== undefined)
    unknown(agreement.computeProviders, ["computeProviders"], parties, PARTY, report);
  const whole = window(agreement, [], report);
  for (const [user, relation] of Object.entries(agreement.relations))
    checkRelation(relation, ["relations", user], agreement, whole, known, report);
  return problems;
}

const ARCHETYPE = { code: "DOC-ARCHETYPE-UNKNOWN", what: "archetype" } as const;
const PARTY = { code: "DOC-PARTY-UNKNOWN", what: "party" } as const;
const REQUEST_TYPE = { code: "DOC-REQUEST-TYPE-UNKNOWN", what: "request type" } as const;
const DATA_SET = { code: "DOC-DATASET-UNKNOWN", what: "data set" } as const;

function checkRelation(
  relation: Relation,
  path: Path,
  agreement: Agreement,
  whole: Window,
  known: KnownNames,
  report: Report,
): void {
  if (relation.requestTypes.length === 0)
    report(
      [...path, "requestTypes"],
      "POL-USER-NO-RIGHTS",
      "empty",
      "name a request type or remove the user",
    );
  if (relation.allowedArchetypes.length === 0)
    report(
      [...path, "allowedArchetypes"],
      "POL-USER-NO-RIGHTS",
      "empty",
      "name an archetype or remove the user",
    );
  unknown(relation.requestTypes, [...path, "requestTypes"], known.requestTypes, REQUEST_TYPE, report);
  unknown(relation.dataSets ?? [], [...path, "dataSets"], known.dataSets, DATA_SET, report);
  offered(relation, "allowedArchetypes", path, agreement, "archetypes", report);
  offered(relation, "allowedComputeProviders", path, agreement, "computeProviders", report);
  columnsOfListed(relation, path, known.dataSets, report);
  const own = window(relation, path, report);
  if (own.until < whole.from || own.from > whole.until) {
    report(
      [...path, own.until < whole.from ? "notAfter" : "notBefore"],
      "DOC-VALIDITY",
      "lies outside the agreement's own time, so this user never has a right",
      "change one of the two, or remove the user",
    );
  }
}

/** Columns of a data set that is not listed beside them: they look like a right and are none, or like a limit and are none. */
export function columnsOfListed(
  { dataSets, columns }: Pick<Relation, "dataSets" | "columns">,
  path: Path,
  known: ReadonlySet<string>,
  report: Report,
): void {
  for (const name of Object.keys(columns ?? {})) {
    const at = [...path, "columns", name];
    if (!known.has(name)) report(at, DATA_SET.code, `no data set ${name}`, suggestion(name, known));
    else if (dataSets !== undefined && !dataSets.includes(name))
      report(
        at,
        "DOC-COLUMNS",
        `${name} is not among the dataSets`,
        "add it to dataSets, or remove its columns",
      );
  }
}

/** In milliseconds since 1970. */
interface Window {
  readonly from: number;
  readonly until: number;
}

function window({ notBefore, notAfter }: Validity, path: Path, report: Report): Window {
  const from = notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore);
  const until = notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter);
  if (until < from) {
    report(
      [...path, "notAfter"],
      "DOC-VALIDITY",
      `is before notBefore (${notBefore}), so it never holds`,
      "exchange the two, or correct one",
    );
    return { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY }; // told once
  }
  return { from, until };
}

export function unknown(
  used: readonly string[],
  path: Path,
  known: ReadonlySet<string>,
  { code, what }: { readonly code: string; readonly what: string },
  report: Report,
): void {
  for (const [i, name] of used.entries()) {
    if (!known.has(name)) report([...path, i], code, `no ${what} ${name}`, suggestion(name, known));
  }
}

/** What a relation allows counts only where the agreement as a whole offers it. */
function offered(
  relation: Relation,
  used: "allowedArchetypes" | "allowedComputeProviders",
  path: Path,
  agreement: Agreement,
  offer: "archetypes" | "computeProviders",
  report: Report,
): void {
  for (const [i, name] of relation[used].entries()) {
    if (!agreement[offer].includes(name)) {
      report(
        [...path, used, i],
        "DOC-NOT-OFFERED",
        `${name} is not in the agreement's own ${offer}, so it gives no right`,
        `add it to ${offer}, or remove it here`,
      );
    }
  }
}

import { join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { validateDocument } from "../../policy/contract/schemas.js";
import { readDocumentFile } from "../experiment.js";
import { leaveAgreement, type Operator, readAgreement } from "./agreements-api.js";
import { owe } from "./restore.js";
import type { ExperimentSettings, PlannedChange } from "./settings.js";

/** A change as its files say it. */
export interface ReadyChange {
  readonly what: PlannedChange;
  /** The agreement to be written inside the round. Absent: the user is taken out of the live one. */
  readonly agreement?: Agreement;
}

/**
 * Reads what a change needs of the experiment's folder, before anything is started.
 *
 * @throws InfraError EXP-CHANGE, DOC-*
 */
export function readyChange(what: PlannedChange, folder: string, user: string): ReadyChange {
  if (what.do === "leave") return { what };
  const file = what.with ?? join("agreements", `${what.party}.json`);
  const agreement = readDocumentFile(folder, file) as unknown as Agreement;
  const problems = validateDocument("agreement", what.party, agreement).map((p) => ({ ...p, file }));
  if (problems.length > 0) throw new InfraError(problems);
  if (what.do === "join" && agreement.relations[user] === undefined)
    throw wrong(file, "relations", `has no rule for ${user}, so ${what.party} cannot join`);
  return { what, agreement };
}

/** Those that a run's request asks: a party that joins later is not among them. */
export const askedAtFirst = (
  { dataProviders }: ExperimentSettings,
  change: PlannedChange | undefined,
): readonly string[] =>
  change?.do === "join" ? dataProviders.filter((party) => party !== change.party) : dataProviders;

/**
 * Before a run in which a party joins: the user is taken out of its agreement, which is noted beforehand, so that it is put back whatever happens.
 *
 * @returns the agreement as it was; undefined where nothing had to be done
 */
export async function prepare(
  { what }: ReadyChange,
  operator: Operator,
  state: string,
  user: string,
): Promise<Agreement | undefined> {
  if (what.do !== "join") return undefined;
  const stored = await readAgreement(operator, what.party);
  if (stored === undefined) throw wrong(`agreements/${what.party}`, "name", "is not in the marketplace");
  owe(state, { agreement: stored.document });
  owe(state, { agreement: stored.document, changedAt: await leaveAgreement(operator, stored, user) });
  return stored.document;
}

const wrong = (file: string, path: string, message: string): InfraError =>
  new InfraError({
    code: "EXP-CHANGE",
    file,
    path,
    message,
    remedy: "correct the file, or `changes` in experiment.yaml",
  });

import { join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { validateDocument } from "../../policy/contract/schemas.js";
import { readDocumentFile } from "../experiment.js";
import { leaveAgreement, type Operator, readAgreement } from "./agreements-api.js";
import { owe } from "./restore.js";
import { expectedAfter, type PlannedChange } from "./settings.js";

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

/** Before a run in which a party joins: the user is taken out of its agreement, which is noted beforehand, so that it is put back whatever happens. */
export async function prepare(party: string, operator: Operator, state: string, user: string): Promise<void> {
  const stored = await readAgreement(operator, party);
  if (stored === undefined) throw wrong(`agreements/${party}`, "name", "is not in the marketplace");
  owe(state, { agreement: stored.document });
  owe(state, { agreement: stored.document, changedAt: await leaveAgreement(operator, stored, user) });
}

/**
 * Who is in, and so asked by the next request, after a change; and what of the running job, which asks `asked`, had to follow. A job's parties are decided at its start:
 * one that joins is part of the next. Pure.
 */
export function afterChange(
  { what, agreement }: ReadyChange,
  user: string,
  isIn: ReadonlySet<string>,
  asked: ReadonlySet<string>,
): { readonly isIn: ReadonlySet<string>; readonly next: "refused" | "goesOn" } {
  const stays = what.do === "join" || (what.do === "replace" && agreement?.relations[user] !== undefined);
  const others = [...isIn].filter((party) => party !== what.party);
  return {
    isIn: new Set(stays ? [...others, what.party] : others),
    next: asked.has(what.party) ? expectedAfter(what) : "goesOn",
  };
}

const wrong = (file: string, path: string, message: string): InfraError =>
  new InfraError({
    code: "EXP-CHANGE",
    file,
    path,
    message,
    remedy: "correct the file, or `changes` in experiment.yaml",
  });

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../infra/local/state-folder.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { type Operator, readAgreement, writeAgreement } from "./agreements-api.js";

/** What an experiment owes a party: its agreement as it was, and the revision the experiment itself left it at. */
interface Debt {
  readonly agreement: Agreement;
  /** Absent until the change has been acknowledged. */
  readonly changedAt?: number;
}

const debtFile = (state: string): string => join(state, "experiment-restore.json");

/**
 * Notes, before an agreement is touched, what it was: so that it is put back even when everything is killed. Of an agreement that is changed twice the first one counts.
 */
export function owe(state: string, debt: Debt): void {
  const debts = read(state);
  const { name } = debt.agreement;
  const agreement = debts[name]?.agreement ?? debt.agreement;
  writeFileAtomic(debtFile(state), JSON.stringify({ ...debts, [name]: { ...debt, agreement } }));
}

const read = (state: string): Readonly<Record<string, Debt>> =>
  existsSync(debtFile(state)) ? JSON.parse(readFileSync(debtFile(state), "utf8")) : {};

/**
 * Puts back what an experiment changed and did not restore. Returns the agreements' parties when there was something to do.
 * An agreement that somebody else changed after the experiment did is left as it is: the newer word counts.
 */
export async function payBack(state: string, operator: Operator): Promise<readonly string[]> {
  const debts = read(state);
  for (const [name, debt] of Object.entries(debts)) {
    const live = await readAgreement(operator, name);
    const ours = live === undefined || debt.changedAt === undefined || live.revision === debt.changedAt;
    if (ours && JSON.stringify(live?.document) !== JSON.stringify(debt.agreement)) {
      await writeAgreement(operator, debt.agreement, live?.revision ?? 0);
    }
  }
  rmSync(debtFile(state), { force: true });
  return Object.keys(debts);
}

import type { RoundRecord } from "../contract/documents.js";
import type { GrantClaims } from "../contract/grants.js";
import { KEY } from "../contract/names.js";
import type { Problem } from "../contract/problem.js";
import type { Store } from "../platform/store.js";

/** The round is open since this revision, or the agreements are not those decided on any more. */
export type Opening = { readonly token: number } | { readonly changedAt: number };

/**
 * Opens a round in one transaction: the agreements decided on must be the store's at that very revision, which is the round's token. So no round opens
 * after a change has been acknowledged.
 *
 * A round that was opened before on the same agreements is open: then its asker did not hear of it, since the broker or an enforcer went away
 * meanwhile.
 *
 * @param patience - milliseconds to wait for a store that is away
 * @throws CodedError `STO-*`
 */
export async function openRound(
  store: Store,
  { job, round, agreements }: Pick<GrantClaims, "job" | "round" | "agreements">,
  patience: number,
): Promise<Opening> {
  const record: RoundRecord = { job, round, agreements, openedAt: new Date().toISOString() };
  const key = KEY.round(job, round);
  const compared = Object.entries(agreements).map(([party, revision]) => ({
    key: KEY.agreement(party),
    revision,
  }));
  const result = await store.open(compared, { key, value: record }, { patience });
  if (!("conflict" in result)) return { token: result.revision };
  const before = await store.get<RoundRecord>(key, { patience });
  return before !== undefined && same(before.value.agreements, agreements)
    ? { token: before.revision }
    : { changedAt: result.revision };
}

export function roundConflict(round: number): Problem {
  return {
    code: "ORC-ROUND-CONFLICT",
    path: `rounds/${round}`,
    message: `the agreements changed again and again between the decision and the opening of round ${round}, or it was opened before on others`,
    remedy: "send the request again when the agreements stand still",
  };
}

function same(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const parties = Object.keys(a);
  return parties.length === Object.keys(b).length && parties.every((party) => a[party] === b[party]);
}

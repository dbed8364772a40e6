import type { Dataset, RequestType } from "../contract/documents.js";
import type { GrantClaims } from "../contract/grants.js";
import type { Problem } from "../contract/problem.js";
import { compileAgreement, compileRequestType, ownPartAllowed, sensitiveColumns } from "../decision/index.js";
import { compositionOf } from "../rounds/composition.js";
import type { OwnSince } from "./own-agreement.js";

/**
 * Whether an agent stops at once what it was granted: its own agreement says `stop`, or has said so since the round was opened, and does not allow its
 * part any more. Decided by the agent itself, so that it holds also while nobody else is there to say so. Pure.
 *
 * @param own - the own agreement since the grant's token
 * @param now - milliseconds since 1970
 */
export function stopsAtOnce(
  agent: string,
  granted: GrantClaims,
  { stop, now: agreement, revision }: OwnSince,
  requestType: RequestType | undefined,
  dataSets: Iterable<Dataset>,
  now: number,
): Problem | undefined {
  if (!stop) return undefined;
  const { archetype, dataProviders, computeProviders } = granted;
  const { local } = compositionOf(archetype, dataProviders, computeProviders);
  const [computeProvider] = local ? [] : computeProviders;
  const allowed = ownPartAllowed(
    agent,
    {
      requestType: granted.requestType,
      user: granted.sub,
      dataProviders,
      archetype,
      ...(computeProvider === undefined ? {} : { computeProvider }),
    },
    agreement && compileAgreement({ value: agreement, revision }),
    requestType && compileRequestType(requestType, sensitiveColumns(dataSets)),
    now,
  );
  if (allowed) return undefined;
  return {
    code: "AGT-REVOKED",
    path: `agreements/${agent}`,
    message: `${agent}'s agreement of revision ${revision} does not allow this any more, and says that work stops at once`,
    remedy: `ask ${agent} for a new agreement`,
  };
}

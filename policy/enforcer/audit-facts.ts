import { GRANT_SECONDS, type GrantClaims } from "../contract/grants.js";
import type { Draft, RequestApproval, ValidationResponse } from "../contract/wire.js";
import type { Change } from "../platform/store.js";
import type { AuditEntry } from "./audit.js";

/** A grant as it was signed; the text of the grant itself is a right, and is not written down. */
export interface SignedGrant {
  readonly jti: string;
  readonly claims: GrantClaims;
}

/** What is recorded of one answered request: the decision, and what was given because of it. Pure. */
export function decisionEntries(
  correlationId: string | undefined,
  request: RequestApproval,
  response: Draft<ValidationResponse>,
  grant: SignedGrant | undefined,
): readonly AuditEntry[] {
  const id = clip(correlationId ?? "");
  const user = clip(request.user?.userName ?? "");
  const of = {
    id,
    user,
    ...(request.jobId === "" ? {} : { job: clip(request.jobId), round: request.round }),
  };
  const decision: AuditEntry = {
    kind: "decision",
    facts: {
      ...of,
      type: clip(request.type),
      parties: request.dataProviders.map(clip),
      ...(request.archetypeId === "" ? {} : { archetype: clip(request.archetypeId) }),
      ...(request.computeProvider === "" ? {} : { computeProvider: clip(request.computeProvider) }),
      ...(request.again ? { again: true } : {}),
      answer: response.requestApproved === true ? "allow" : "deny",
      valid: response.validDataproviders ?? {},
      ...reasonsOf(response),
      agreements: response.agreementRevisions ?? {},
      ...(response.error === undefined || response.error === "" ? {} : { problem: codeOf(response.error) }),
    },
  };
  if (request.again && response.requestApproved !== true)
    return [decision, { kind: "revocation", facts: { ...of, ...reasonsOf(response) } }];
  if (grant === undefined) return [decision];
  const { jti, claims } = grant;
  const round: AuditEntry = {
    kind: "round",
    facts: { ...of, token: claims.token, agreements: claims.agreements, openMs: response.openMs ?? 0 },
  };
  const granted: AuditEntry = {
    kind: "grant",
    facts: {
      ...of,
      jti,
      seconds: GRANT_SECONDS,
      token: claims.token,
      type: claims.requestType,
      archetype: claims.archetype,
      parties: claims.dataProviders,
      computeProviders: claims.computeProviders,
      agreements: claims.agreements,
    },
  };
  return [decision, round, granted];
}

/** Why it was decided so, and on what. */
function reasonsOf({ reasons = [], revision = 0 }: Draft<ValidationResponse>): Record<string, unknown> {
  return {
    revision,
    reasons: reasons.map(({ code, party, path }) => ({
      code,
      party: clip(party ?? ""),
      path: clip(path ?? ""),
    })),
  };
}

/** An agreement as this enforcer hears of its change. Its text at that revision is in the store's history. */
export function agreementEntry(steward: string, change: Change<unknown>): AuditEntry {
  // As it stands in the store, where it may be anything.
  const relations = (change.value as { readonly relations?: unknown } | null | undefined)?.relations;
  const users = typeof relations === "object" && relations !== null ? Object.keys(relations) : [];
  return {
    kind: "agreement",
    facts: {
      party: clip(steward),
      change: change.type === "put" ? "written" : "taken away",
      revision: change.revision,
      users: users.slice(0, USERS_TOLD).map(clip),
      ...(users.length > USERS_TOLD ? { moreUsers: users.length - USERS_TOLD } : {}),
    },
  };
}

/** Users that a change's record names. */
const USERS_TOLD = 50;
/** No name comes near this; a record must not grow with what a stranger sends. */
const LONGEST = 256;

function clip(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}... (${text.length} characters)`;
}

function codeOf(problem: string): string {
  return /"code":"([^"]{1,64})"/.exec(problem)?.[1] ?? "UNEXPECTED";
}

import type { GrantClaims } from "../contract/grants.js";
import type { Draft, RequestApproval, ValidationResponse } from "../contract/wire.js";
import { type Decision, type DecisionRequest, decide, type Policy } from "../decision/index.js";
import { roundUnbound } from "../decision/reasons.js";
import type { Snapshot } from "./policy-view.js";

/** The request's option that says whether all data providers must allow (`decision/request.ts`). */
const REQUIRE_ALL = "requireAll";

/**
 * Decides a request and says how it is answered, and what may be granted. Pure, if it is told the time.
 *
 * @param now - milliseconds since 1970
 */
export function answer(
  request: RequestApproval,
  { policy, revision }: Snapshot,
  now: number = Date.now(),
): {
  readonly decision: Decision;
  readonly response: Draft<ValidationResponse>;
  /** Of an allowance that opens a round. */
  readonly claims?: Omit<GrantClaims, "token">;
} {
  const question = questionOf(request);
  const decision = unbound(request, policy) ?? decide(question, policy, now);
  const approved = decision.decision === "allow";
  const valid = decision.providers.filter((p) => p.allowed);
  const response: Draft<ValidationResponse> = {
    type: "validationResponse",
    requestType: request.type,
    validDataproviders: Object.fromEntries(
      valid.map((p) => [p.party, { archetypes: p.archetypes, computeProviders: p.computeProviders }]),
    ),
    invalidDataproviders: decision.providers.filter((p) => !p.allowed).map((p) => p.party),
    // Never absent: DYNAMOS's own services read it without a look.
    auth: { accessToken: "", refreshToken: "" },
    user: request.user ?? {},
    requestApproved: approved,
    validArchetypes: {
      userName: question.user,
      archetypes: Object.fromEntries(valid.map((p) => [p.party, { archetypes: p.archetypes }])),
    },
    options: request.options,
    reasons: decision.reasons,
    revision,
    agreementRevisions: decision.agreements,
    jobId: request.jobId,
    round: request.round,
  };
  // A first approval opens nothing, so nothing is signed for it. A running job that is decided again keeps the grant of its open round, and gets no other.
  const grants = approved && request.round > 0 && !request.again;
  return { decision, response, ...(grants ? { claims: claimsOf(request, decision, policy) } : {}) };
}

function questionOf(request: RequestApproval): DecisionRequest {
  const option = Object.hasOwn(request.options, REQUIRE_ALL) ? request.options[REQUIRE_ALL] : undefined;
  // A round is for those with whom its job was composed: without one of them it is another job.
  const requireAll = request.round === 0 ? option : true;
  return {
    requestType: request.type,
    user: request.user?.userName ?? "",
    dataProviders: request.dataProviders,
    ...(request.archetypeId === "" ? {} : { archetype: request.archetypeId }),
    ...(request.computeProvider === "" ? {} : { computeProvider: request.computeProvider }),
    ...(requireAll === undefined ? {} : { requireAll }),
  };
}

/** A round's grant must be for one composition: a request that leaves it open is denied. */
function unbound(request: RequestApproval, policy: Policy): Decision | undefined {
  if (request.jobId === "" && request.round === 0) return undefined;
  const other = policy.archetypes.get(request.archetypeId)?.computeProvider === "other";
  const missing = [
    ...(request.jobId === "" ? ["job_id"] : []),
    ...(request.round === 0 ? ["round"] : []),
    ...(request.archetypeId === "" ? ["archetype_id"] : []),
    ...(other && request.computeProvider === "" ? ["compute_provider"] : []),
  ];
  if (missing.length === 0) return undefined;
  const providers = [...new Set(request.dataProviders)].map((party) => ({
    party,
    allowed: false,
    archetypes: [],
    computeProviders: [],
  }));
  return { decision: "deny", providers, options: [], reasons: missing.map(roundUnbound), agreements: {} };
}

/** What a grant says of an allowance. */
function claimsOf(request: RequestApproval, decision: Decision, policy: Policy): Omit<GrantClaims, "token"> {
  const reads = policy.requestTypes.get(request.type)?.reads ?? [];
  const [option] = decision.options;
  const dataProviders = decision.providers.filter((p) => p.allowed).map((p) => p.party);
  return {
    sub: request.user?.userName ?? "",
    job: request.jobId,
    round: request.round,
    requestType: request.type,
    archetype: option?.archetype ?? "",
    dataProviders,
    computeProviders: option?.computeProviders ?? [],
    dataSets: reads.map(({ dataSet }) => dataSet),
    columns: Object.fromEntries(
      reads.flatMap(({ dataSet, columns }) => (columns === undefined ? [] : [[dataSet, columns]])),
    ),
    agreements: decision.agreements,
  };
}

import { permits } from "./allows.js";
import { type CompiledAgreement, type CompiledRequestType, numberOf } from "./policy.js";
import { type DecisionRequest, letsCompute, readsOfRequest } from "./request.js";

/** What was allowed, with archetype and compute provider. */
export interface AllowedWork extends Omit<DecisionRequest, "archetype" | "computeProvider"> {
  readonly archetype: string;
  /** The other party that computes. Absent: the data providers do. */
  readonly computeProvider?: string;
}

/**
 * Whether one party's agreement still allows its own part in what was allowed: as data provider, as compute provider, or as both. What the others say is
 * not looked at. For a party's agent, which knows its own agreement.
 *
 * @param now - milliseconds since 1970
 */
export function ownPartAllowed(
  party: string,
  work: AllowedWork,
  agreement: CompiledAgreement | undefined,
  type: CompiledRequestType | undefined,
  now: number,
): boolean {
  const relation = agreement?.rules[numberOf(work.user)];
  if (agreement === undefined || relation === undefined || type === undefined) return false;
  const { archetype, computeProvider } = work;
  if (work.dataProviders.includes(party)) {
    if (!permits(relation, type, readsOfRequest(work, type), now)) return false;
    if (!relation.archetypes.has(archetype)) return false;
    if (computeProvider !== undefined && !relation.computeProviders.includes(computeProvider)) return false;
  }
  return computeProvider !== party || letsCompute(relation, type, now);
}

import { fetch } from "undici";
import { InfraError } from "../../infra/problem.js";
import type { Agreement } from "../../policy/contract/documents.js";

/** Where the orchestrator's API is, and the operator's right to use it. */
export interface Operator {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly token: string;
}

export interface StoredAgreement {
  readonly document: Agreement;
  /** etcd's revision of the last change. */
  readonly revision: number;
}

/** Reads an agreement through the orchestrator's API; undefined when there is none. */
export async function readAgreement(operator: Operator, party: string): Promise<StoredAgreement | undefined> {
  const { status, body } = await call(operator, "GET", party);
  if (status === 404) return undefined;
  return { document: body.document as Agreement, revision: Number(body.revision) };
}

/** Replaces an agreement. With `ifRevision` only when nobody changed it since (0: only when there is none). Returns the new revision. */
export async function writeAgreement(
  operator: Operator,
  agreement: Agreement,
  ifRevision?: number,
): Promise<number> {
  const { body } = await call(operator, "PUT", agreement.name, { body: agreement, ifRevision });
  return Number(body.revision);
}

/** The user leaves the party's agreement: their relation is taken out. Returns the revision at which the change was committed. */
export async function leaveAgreement(
  operator: Operator,
  stored: StoredAgreement,
  user: string,
): Promise<number> {
  const { [user]: _left, ...relations } = stored.document.relations;
  return writeAgreement(operator, { ...stored.document, relations }, stored.revision);
}

async function call(
  operator: Operator,
  method: "GET" | "PUT",
  party: string,
  options: { readonly body?: unknown; readonly ifRevision?: number | undefined } = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const url = `${operator.url}/api/v1/policyEnforcer/agreements/${encodeURIComponent(party)}`;
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(10_000),
    headers: {
      authorization: `Bearer ${operator.token}`,
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...(options.ifRevision === undefined ? {} : { "if-match": String(options.ifRevision) }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.ok || (method === "GET" && response.status === 404)) return { status: response.status, body };
  throw new InfraError({
    code: typeof body.code === "string" ? body.code : "EXP-AGREEMENT",
    path: `agreements/${party}`,
    message:
      typeof body.message === "string" ? body.message : `the orchestrator answered HTTP ${response.status}`,
    ...(typeof body.remedy === "string" ? { remedy: body.remedy } : {}),
  });
}

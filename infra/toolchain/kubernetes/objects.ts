import { createHash } from "node:crypto";
import { type ApiServer, Refusal } from "../../cluster/api-server.js";
import { at, type Live } from "../../cluster/object.js";
import { InfraError } from "../../problem.js";
import { normal } from "./diff.js";
import { type Kind, pathOf } from "./kinds.js";

/** What is worked on. */
export interface Work {
  readonly api: ApiServer;
  readonly kind: Kind;
  readonly name: Name;
  readonly signal: AbortSignal;
  /** A line for who watches; a warning is kept. */
  readonly onLine: (text: string, isWarning?: boolean) => void;
  readonly timeoutSeconds: number;
}
export type Name = Pick<Live["metadata"], "name" | "namespace">;

export const problem = (code: string, message: string, remedy: string): InfraError =>
  new InfraError({ code, message, remedy });
/** `Deployment x/agent`, as messages name it. */
export const titleOf = ({ kind: { kind }, name: { name, namespace } }: Work): string =>
  `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
export const pathTo = ({ kind, name: { name, namespace } }: Work): string =>
  `${pathOf(kind, namespace)}/${name}`;

/** The object as it is; undefined when there is none. @throws InfraError `K8S-REFUSED`, `CLU-UNREACHABLE` */
export const find = async (work: Work): Promise<Live | undefined> =>
  (await read(work, pathTo(work), [404])) as Live | undefined;

export async function read({ api, signal }: Work, path: string, fine = [403, 404], query = {}) {
  try {
    return await api.call("GET", path, { signal, query });
  } catch (error) {
    if (error instanceof Refusal && fine.includes(error.status)) return undefined;
    throw told(error, path);
  }
}
export const list = async <T>(work: Work, path: string, query = {}): Promise<readonly T[]> =>
  at(await read(work, path, undefined, query), "items") ?? [];

/** Server-side apply. Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ @throws Refusal */
export async function apply(
  work: Work,
  object: object,
  fieldManager: string,
  force: boolean,
  trial: boolean,
) {
  const { kind, signal, onLine } = work;
  const query = { fieldManager, force: String(force), fieldValidation: "Strict" };
  return (await work.api.call("PATCH", pathTo(work), {
    query: trial ? { ...query, dryRun: "All" } : query,
    body: normal({ ...object, apiVersion: kind.apiVersion, kind: kind.kind }),
    signal,
    onWarning: (text) => !trial && onLine(text, true),
  })) as Live;
}

/** A server's "no" as a person is told it. */
export function told(error: unknown, title: string): unknown {
  if (!(error instanceof Refusal)) return error;
  const conflicts = error.causes.filter(({ reason }) => reason === "FieldManagerConflict");
  const others = conflicts.map(({ field, message }) => `${field} (${message})`).join(", ");
  const remedy =
    'leave them by `ignoreChanges`, or take them by the annotation `pulumi.com/patchForce: "true"`';
  if (others !== "") return problem("K8S-CONFLICT", `${title}: others have set ${others}`, remedy);
  const message = `${title}: the API server says no (${error.status}): ${error.message}`;
  const isRight = error.status === 401 || error.status === 403;
  const right = "give the kubeconfig's user the right (docs/kubernetes.md, Permissions)";
  return problem("K8S-REFUSED", message, isRight ? right : "correct the object");
}

/** A field manager's name that a run after one that was killed has too: by it what that run made is known as ours. */
export const managerOf = (urn: string): string =>
  `pulumi-kubernetes-${createHash("sha256").update(urn).digest("hex").slice(0, 8)}`;

/** Whether a manager of that name applied it. Applying nothing but a name leaves no trace at all. */
export const isManagedBy = ({ metadata: { managedFields = [] } }: Live, manager: RegExp): boolean =>
  managedFields.length === 0 ||
  managedFields.some((one) => one.operation === "Apply" && manager.test(one.manager ?? ""));

import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { InfraError } from "../../problem.js";
import { type Answer, type Api, Refusal } from "./api.js";
import { normal } from "./diff.js";
import { at, type Kind, kinds, type Live, pathOf, titleOf } from "./kinds.js";
import { type Beside, hasPods, type Readiness, readinessOf } from "./readiness.js";
import { currentPods, type Event, refusals, stuckPods, type Trouble, troublesOf } from "./trouble.js";

/** What is worked on. */
export interface Work {
  readonly api: Api;
  readonly kind: Kind;
  readonly signal: AbortSignal;
  /** A line for who watches; a warning is kept. */
  readonly onLine: (text: string, isWarning?: boolean) => void;
  readonly timeoutSeconds: number;
}
type Name = Pick<Live["metadata"], "name" | "namespace">;

const everyMs = 500;
/** So long something that waiting cannot mend must last: the first pull of an image may fail for a moment. */
const hopelessMs = 15_000;

const objectPath = (kind: Kind, { name, namespace }: Name): string => `${pathOf(kind, namespace)}/${name}`;

/** An object as it is; undefined when there is none. @throws InfraError `K8S-REFUSED`, `K8S-UNREACHABLE` */
export async function find(work: Work, name: Name): Promise<Live | undefined> {
  return await quiet(work, objectPath(work.kind, name), [404]);
}

async function quiet(
  work: Work,
  path: string,
  fine: readonly number[],
  query = {},
): Promise<Live | undefined> {
  try {
    return (await work.api.call("GET", path, { signal: work.signal, query })).object;
  } catch (error) {
    if (error instanceof Refusal && fine.includes(error.status)) return undefined;
    throw told(error, path);
  }
}

/**
 * Server-side apply. Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
 *
 * @throws Refusal
 */
export async function apply(
  { api, kind, signal, onLine }: Work,
  object: Live,
  manager: string,
  how: { readonly isForced: boolean; readonly isTrial: boolean },
): Promise<Answer> {
  const query = { fieldManager: manager, force: String(how.isForced), fieldValidation: "Strict" };
  return await api.call("PATCH", objectPath(kind, object.metadata), {
    query: how.isTrial ? { ...query, dryRun: "All" } : query,
    body: normal({ ...object, apiVersion: kind.apiVersion, kind: kind.kind }),
    signal,
    onWarning: (text) => !how.isTrial && onLine(text, true),
  });
}

/** A server's "no" as a person is told it. */
export function told(error: unknown, title: string): unknown {
  if (!(error instanceof Refusal)) return error;
  const conflicts = error.causes.filter(({ reason }) => reason === "FieldManagerConflict");
  if (conflicts.length > 0) {
    const fields = conflicts.map(({ field, message }) => `${field} (${message})`).join(", ");
    const remedy = "give them to who changed them by `ignoreChanges`, or take them by the annotation `pulumi.com/patchForce: \"true\"`"; // biome-ignore format: one line
    return new InfraError({ code: "K8S-CONFLICT", message: `${title}: others have set ${fields}`, remedy });
  }
  const message = `${title}: the API server says no (${error.status}): ${error.message}`;
  const isRight = error.status === 401 || error.status === 403;
  const remedy = isRight ? "give the kubeconfig's user the right (docs/kubernetes.md, Permissions)" : "correct the object"; // biome-ignore format: one line
  return new InfraError({ code: "K8S-REFUSED", message, remedy }, { cause: error });
}

/** A field manager's name that a run after one that was killed has too: by it what that run made is known as ours. */
export const managerOf = (urn: string): string =>
  `pulumi-kubernetes-${createHash("sha256").update(urn).digest("hex").slice(0, 8)}`;

/** Whether a manager of that name applied it. Applying nothing but a name leaves no trace at all. */
export const isManagedBy = ({ metadata: { managedFields = [] } }: Live, manager: RegExp): boolean =>
  managedFields.length === 0 ||
  managedFields.some((one) => one.operation === "Apply" && manager.test(one.manager ?? ""));

/** Says each line once, until another comes. */
function teller(onLine: Work["onLine"]): (text: string) => void {
  let last = "";
  return (text) => {
    if (text !== last) onLine(text);
    last = text;
  };
}

/**
 * Waits until an object is ready.
 *
 * @returns it, and what is wrong with it when it did not become ready
 */
export async function awaitReady(
  work: Work,
  first: Live,
): Promise<{ readonly live: Live; readonly problem?: InfraError }> {
  const tell = teller(work.onLine);
  const title = titleOf(work.kind.kind, first.metadata);
  const started = Date.now();
  let hopelessSince: number | undefined;
  let live = first;
  for (let round = 0; ; round++) {
    const readiness = readinessOf(live, await besides(work, live));
    if (readiness.isReady) return { live };
    // Pods are asked for once it is not a matter of moments.
    const troubles = round < 2 && readiness.hasFailed !== true ? [] : await troubles_(work, live);
    const why = [readiness.says, ...troubles.map(({ says }) => says)].join("; ");
    tell(`waits: ${why}`);
    hopelessSince = troubles[0]?.isHopeless === true ? (hopelessSince ?? Date.now()) : undefined;
    const isHopeless = hopelessSince !== undefined && Date.now() - hopelessSince >= hopelessMs;
    const problem = problemOf(title, why, readiness, isHopeless, started, work);
    if (problem !== undefined) return { live, problem };
    await delay(everyMs, undefined, { signal: work.signal });
    const found = await find(work, live.metadata);
    if (found === undefined) return { live, problem: failed("K8S-GONE", `${title} was deleted while it was waited for`, "see who deletes it") }; // biome-ignore format: one line
    live = found;
  }
}

const failed = (code: string, message: string, remedy: string): InfraError =>
  new InfraError({ code, message, remedy });

function problemOf(
  title: string,
  why: string,
  { hasFailed }: Readiness,
  isHopeless: boolean,
  started: number,
  work: Work,
): InfraError | undefined {
  const seconds = Math.round((Date.now() - started) / 1_000);
  if (hasFailed === true)
    return failed("K8S-FAILED", `${title}: ${why}`, "correct what it says and run `up` again");
  if (isHopeless) return failed("K8S-CANNOT-START", `${title} cannot start: ${why}`, "correct what it says and run `up` again"); // biome-ignore format: one line
  if (seconds < work.timeoutSeconds) return undefined;
  return failed("K8S-NOT-READY", `${title} is not ready after ${seconds} s: ${why}`, "see what it says; `customTimeouts` gives it longer"); // biome-ignore format: one line
}

const kindOf = (type: string): Kind => kinds.get(type) as Kind;

/** What an object's readiness hangs on beside itself. What may not be read is as if it were not there. */
async function besides(work: Work, live: Live): Promise<Beside> {
  const { namespace } = live.metadata;
  const addressesOf = async (name: string): Promise<number> => {
    const path = `/api/v1/namespaces/${namespace}/endpoints/${name}`;
    const subsets = at<readonly object[]>(await quiet(work, path, [404, 403]), "subsets") ?? [];
    return subsets.reduce((sum, subset) => sum + (at<unknown[]>(subset, "addresses")?.length ?? 0), 0);
  };
  if (live.kind === "Service") return { addresses: await addressesOf(live.metadata.name) };
  if (live.kind === "Ingress") {
    const paths = at<object[]>(live, "spec", "rules")?.flatMap(
      (rule) => at<object[]>(rule, "http", "paths") ?? [],
    );
    const names = (paths ?? []).map((path) => at<string>(path, "backend", "service", "name") ?? "");
    return { addresses: Math.min(...(await Promise.all(names.filter(Boolean).map(addressesOf)))) };
  }
  const storageClass = live.kind === "PersistentVolumeClaim" ? at<string>(live, "spec", "storageClassName") : undefined; // biome-ignore format: one line
  if (!storageClass) return {};
  const found = await quiet(work, `/apis/storage.k8s.io/v1/storageclasses/${storageClass}`, [404, 403]);
  return { binding: at(found, "volumeBindingMode") };
}

/** Why an object's pods do not run, as far as the account may see. */
async function troubles_(work: Work, live: Live): Promise<readonly Trouble[]> {
  const { name, namespace } = live.metadata;
  const labels = at<Record<string, string>>(live, "spec", "selector", "matchLabels");
  if (!hasPods(live.kind ?? "") || labels === undefined) return [];
  const labelSelector = Object.entries(labels)
    .map((pair) => pair.join("="))
    .join(",");
  const list = async <T>(path: string, query = {}): Promise<readonly T[]> =>
    at<T[]>(await quiet(work, path, [403, 404], query), "items") ?? [];
  const space = `/api/v1/namespaces/${namespace}`;
  const sets = pathOf({ ...kindOf("kubernetes:apps/v1:Deployment"), resource: "replicasets" }, namespace);
  const [all, events, replicaSets] = await Promise.all([
    list<Live>(`${space}/pods`, { labelSelector }),
    list<Event>(`${space}/events`),
    live.kind === "Deployment" ? list<Live>(sets, { labelSelector }) : [],
  ]);
  const pods = currentPods(live, all, replicaSets);
  const found = [...stuckPods(live, pods), ...troublesOf(pods, events)];
  return pods.length > 0 ? found : refusals(events, name);
}

/**
 * Deletes an object with what was made for it, and waits until it is gone.
 *
 * @throws InfraError `K8S-REFUSED`, `K8S-NOT-GONE`
 */
export async function remove(work: Work, name: Name, propagationPolicy: string): Promise<void> {
  const title = titleOf(work.kind.kind, name);
  const tell = teller(work.onLine);
  const started = Date.now();
  let uid: string | undefined;
  try {
    const { object } = await work.api.call("DELETE", objectPath(work.kind, name), {
      body: { propagationPolicy },
      signal: work.signal,
    });
    uid = object.metadata?.uid ?? at(object, "details", "uid");
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return;
    throw told(error, title);
  }
  for (;;) {
    const live = await find(work, name);
    if (live === undefined || (uid !== undefined && live.metadata.uid !== uid)) return;
    const why = await leftOf(work, live);
    tell(`waits for its end: ${why}`);
    if (Date.now() - started > work.timeoutSeconds * 1_000)
      throw failed("K8S-NOT-GONE", `${title} is still there after ${work.timeoutSeconds} s: ${why}`, "see what holds it; a pod of a node that is down goes by `kubectl delete pod --force`"); // biome-ignore format: one line
    await delay(everyMs, undefined, { signal: work.signal });
  }
}

/** What holds an object that is to go. */
async function leftOf(work: Work, live: Live): Promise<string> {
  const said = at<{ type: string; status: string; message?: string }[]>(live, "status", "conditions")?.filter(({ type, status }) => type.startsWith("Namespace") && status === "True"); // biome-ignore format: one line
  if (said !== undefined && said.length > 0) return said.map(({ message }) => message).join("; ");
  const labels = at<Record<string, string>>(live, "spec", "selector", "matchLabels");
  const finalizers = live.metadata.finalizers?.join(", ") || "none";
  if (!hasPods(live.kind ?? "") || labels === undefined) return `finalizers: ${finalizers}`;
  const labelSelector = Object.entries(labels)
    .map((pair) => pair.join("="))
    .join(",");
  const path = `/api/v1/namespaces/${live.metadata.namespace}/pods`;
  const pods = at<Live[]>(await quiet(work, path, [403], { labelSelector }), "items") ?? [];
  const names = pods.map(({ metadata, spec }) => `${metadata.name} on ${spec?.nodeName ?? "no node"}`);
  return names.length === 0 ? `finalizers: ${finalizers}` : `pods ${names.join(", ")}`;
}

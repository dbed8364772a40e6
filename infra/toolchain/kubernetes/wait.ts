import { setTimeout as delay } from "node:timers/promises";
import { Refusal } from "../../cluster/api-server.js";
import { at, conditionsOf, type Live } from "../../cluster/object.js";
import * as pods from "../../cluster/pod-trouble.js";
import type { InfraError } from "../../problem.js";
import { find, list, pathTo, problem, read, titleOf, told, type Work } from "./objects.js";
import { type Beside, readinessOf } from "./readiness.js";

const everyMs = 500;
/** So long something that waiting cannot mend must last: the first pull of an image may fail for a moment. */
const hopelessMs = 15_000;

type Ask<T> = (round: number, seconds: number) => Promise<T | string>;
/** Asks again and again until there is an answer; what it says meanwhile is told once each. */
async function rounds<T>(work: Work, ask: Ask<T>): Promise<T> {
  const started = Date.now();
  for (let round = 0, last = ""; ; round++) {
    const answer = await ask(round, Math.round((Date.now() - started) / 1_000));
    if (typeof answer !== "string") return answer;
    if (answer !== last) work.onLine(answer);
    last = answer;
    await delay(everyMs, undefined, { signal: work.signal }).catch(() => {}); // the next round sees the end
  }
}

/**
 * Waits until an object is ready.
 *
 * @returns it, and what is wrong with it when it did not become ready
 */
export async function awaitReady(work: Work, first: Live): Promise<{ live: Live; failure?: InfraError }> {
  let live = first;
  let since: number | undefined;
  const fail = (code: string, message: string, remedy = "correct what it says and run `up` again") => ({
    live,
    failure: problem(code, `${titleOf(work)}${message}`, remedy),
  });
  return await rounds(work, async (round, seconds) => {
    if (work.signal.aborted) return fail("K8S-NOT-READY", ": the wait was interrupted", "run `up` again");
    const now = round === 0 ? live : await find(work);
    if (now === undefined) return fail("K8S-GONE", " was deleted while it was waited for", "see who does so");
    live = now;
    const { isReady, says, hasFailed = false } = readinessOf(live, await besides(work, live));
    if (isReady) return { live };
    const isLast = hasFailed || seconds >= work.timeoutSeconds;
    // Pods are asked for once it is not a matter of moments.
    const troubles = round < 2 && !isLast ? [] : await podTroubles(work, live);
    const why = [says, ...troubles.map((trouble) => trouble.says)].join("; ");
    since = troubles[0]?.isHopeless === true ? (since ?? Date.now()) : undefined;
    if (hasFailed) return fail("K8S-FAILED", `: ${why}`);
    if (Date.now() - (since ?? Date.now()) >= hopelessMs)
      return fail("K8S-CANNOT-START", ` cannot start: ${why}`);
    if (!isLast) return `waits: ${why}`;
    const remedy = "see what it says; `customTimeouts` gives it longer";
    return fail("K8S-NOT-READY", ` is not ready after ${seconds} s: ${why}`, remedy);
  });
}

/** What an object's readiness hangs on beside itself. What may not be read is as if it were not there. */
async function besides(work: Work, live: Live): Promise<Beside> {
  const space = `/api/v1/namespaces/${live.metadata.namespace}/endpoints`;
  const addressesOf = async (service: string): Promise<number> => {
    const subsets = at<object[]>(await read(work, `${space}/${service}`), "subsets") ?? [];
    return subsets.flatMap((one) => at<unknown[]>(one, "addresses") ?? []).length;
  };
  if (live.kind === "Service") return { addresses: await addressesOf(live.metadata.name) };
  if (live.kind === "Ingress") {
    const rules = at<object[]>(live, "spec", "rules") ?? [];
    const paths = rules.flatMap((rule) => at<object[]>(rule, "http", "paths") ?? []);
    const names = paths.flatMap((path) => at<string>(path, "backend", "service", "name") ?? []);
    return { addresses: Math.min(...(await Promise.all(names.map(addressesOf)))) };
  }
  const storageClass = live.kind === "PersistentVolumeClaim" && at<string>(live, "spec", "storageClassName");
  if (!storageClass) return {};
  const found = await read(work, `/apis/storage.k8s.io/v1/storageclasses/${storageClass}`);
  return { binding: at(found, "volumeBindingMode") };
}

/** What an object selects: its pods, or what is between it and them. */
async function selected(work: Work, live: Live, resource: string): Promise<readonly Live[]> {
  const labels = at<Readonly<Record<string, string>>>(live, "spec", "selector", "matchLabels");
  if (!["Deployment", "StatefulSet", "Job"].includes(live.kind ?? "") || labels === undefined) return [];
  const labelSelector = Object.entries(labels).map((pair) => pair.join("="));
  const [group, kind] = resource === "pods" ? ["/api/v1", "pods"] : ["/apis/apps/v1", resource];
  const path = `${group}/namespaces/${live.metadata.namespace}/${kind}`;
  return await list(work, path, { labelSelector: labelSelector.join(",") });
}

/** Why an object's pods do not run, as far as the account may see. */
async function podTroubles(work: Work, live: Live): Promise<readonly pods.Trouble[]> {
  const { namespace, name } = live.metadata;
  const [all, events, sets] = await Promise.all([
    selected(work, live, "pods"),
    list<pods.Event>(work, `/api/v1/namespaces/${namespace}/events`),
    live.kind === "Deployment" ? selected(work, live, "replicasets") : [],
  ]);
  const current = pods.currentPods(live, all, sets);
  if (current.length === 0) return pods.refusals(events, name);
  return [...pods.stuckPods(live, current), ...pods.troublesOf(current, events)];
}

/**
 * Deletes the object with what was made for it, and waits until it is gone.
 *
 * @throws InfraError `K8S-REFUSED`, `K8S-NOT-GONE`
 */
export async function remove(work: Work, propagationPolicy: string): Promise<void> {
  const before = await find(work);
  if (before === undefined) return;
  const call = { body: { propagationPolicy }, signal: work.signal };
  await work.api.call("DELETE", pathTo(work), call).catch((error) => {
    if (!(error instanceof Refusal && error.status === 404)) throw told(error, titleOf(work));
  });
  await rounds(work, async (_round, seconds) => {
    const live = await find(work);
    if (live === undefined || live.metadata.uid !== before.metadata.uid) return null;
    const why = await holders(work, live);
    if (seconds < work.timeoutSeconds) return `waits for its end: ${why}`;
    const message = `${titleOf(work)} is still there after ${seconds} s: ${why}`;
    const remedy = "see what holds it; a pod of a dead node goes by `kubectl delete pod --force`";
    throw problem("K8S-NOT-GONE", message, remedy);
  });
}

/** What holds an object that is to go. */
async function holders(work: Work, live: Live): Promise<string> {
  const isSaying = (type = "", status = ""): boolean => type.startsWith("Namespace") && status === "True";
  const said = conditionsOf(live).flatMap(({ type, status, message }) =>
    isSaying(type, status) ? [message] : [],
  );
  const left = await selected(work, live, "pods");
  const nodeOf = (pod: Live): string => at(pod, "spec", "nodeName") ?? "no node";
  const words = [...said, ...left.map((pod) => `pod ${pod.metadata.name} on ${nodeOf(pod)}`)];
  const finalizers = `finalizers: ${live.metadata.finalizers?.join(", ") ?? "none"}`;
  return words.length > 0 ? words.join("; ") : finalizers;
}

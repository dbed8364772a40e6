import { at, type Live } from "./kinds.js";

/** How far an object is. */
export interface Readiness {
  readonly isReady: boolean;
  /** What is still missing. */
  readonly says: string;
  /** It has failed for good. */
  readonly hasFailed?: boolean;
}

/** What a Service's or Ingress's readiness depends on beside itself. */
export interface Beside {
  /** Of a Service: its ready addresses. Of an Ingress: the fewest of any of its services. */
  readonly addresses?: number;
  /** `volumeBindingMode` of a claim's class. */
  readonly binding?: string | undefined;
}
interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

const ready: Readiness = { isReady: true, says: "" };
const until = (isReady: boolean, says: string): Readiness => ({ isReady, says: isReady ? "" : says });
const condition = (live: Live, type: string): Condition | undefined =>
  at<Condition[]>(live, "status", "conditions")?.find((one) => one.type === type);
const isTrue = (live: Live, type: string): boolean => condition(live, type)?.status === "True";
const number = (live: Live, ...path: string[]): number => at<number>(live, ...path) ?? 0;

/** Kinds that are ready later than they are there, and how that is seen. Sources: the comments of each kind in `@pulumi/kubernetes`, "This resource waits until". */
const rules: Readonly<Record<string, (live: Live, beside: Beside) => Readiness>> = {
  Deployment(live) {
    const wanted = at<number>(live, "spec", "replicas") ?? 1;
    const progress = condition(live, "Progressing");
    const counts = `${number(live, "status", "updatedReplicas")} of ${wanted} pods made, ${number(live, "status", "availableReplicas")} available`;
    if (!isObserved(live)) return until(false, "not yet looked at by its controller");
    if (progress?.reason === "ProgressDeadlineExceeded")
      return { isReady: false, hasFailed: true, says: `${counts}; ${progress.message}` };
    const failure = condition(live, "ReplicaFailure");
    if (failure?.status === "True") return until(false, `${counts}; ${failure.message}`);
    const isRolledOut =
      progress === undefined || wanted === 0 || progress.reason === "NewReplicaSetAvailable";
    return until(
      isTrue(live, "Available") && isRolledOut && number(live, "status", "updatedReplicas") >= wanted,
      counts,
    );
  },
  StatefulSet(live) {
    const wanted = at<number>(live, "spec", "replicas") ?? 1;
    const made = number(live, "status", "updatedReplicas");
    const counts = `${made} of ${wanted} pods made, ${number(live, "status", "readyReplicas")} ready`;
    if (!isObserved(live)) return until(false, "not yet looked at by its controller");
    const isOurs = at(live, "spec", "updateStrategy", "type") === "OnDelete";
    const isRolledOut =
      isOurs || at(live, "status", "currentRevision") === at(live, "status", "updateRevision");
    return until(
      isRolledOut && number(live, "status", "readyReplicas") >= wanted && (isOurs || made >= wanted),
      counts,
    );
  },
  Job(live) {
    const failed = condition(live, "Failed");
    if (failed?.status === "True")
      return { isReady: false, hasFailed: true, says: `it failed: ${failed.reason}: ${failed.message}` };
    const counts = ["active", "succeeded", "failed"].map((word) => `${number(live, "status", word)} ${word}`);
    return until(isTrue(live, "Complete"), `its pods: ${counts.join(", ")}`);
  },
  Service(live, { addresses = 0 }) {
    const type = at<string>(live, "spec", "type");
    const isBalanced =
      type !== "LoadBalancer" || (at<unknown[]>(live, "status", "loadBalancer", "ingress")?.length ?? 0) > 0;
    if (!isBalanced) return until(false, "no address from the load balancer");
    const isSelecting = Object.keys(at<object>(live, "spec", "selector") ?? {}).length > 0;
    return until(
      type === "ExternalName" || !isSelecting || addresses > 0,
      "no pod that its selector names is ready",
    );
  },
  Ingress(live, { addresses = 0 }) {
    if ((at<unknown[]>(live, "status", "loadBalancer", "ingress")?.length ?? 0) === 0)
      return until(false, "no address: is there a controller of its class?");
    return until(addresses > 0, "a service of its paths has no ready pod");
  },
  PersistentVolume: (live) => phaseOf(live, ["Available", "Bound"]),
  PersistentVolumeClaim: (live, { binding }) =>
    phaseOf(live, binding === "WaitForFirstConsumer" ? ["Bound", "Pending"] : ["Bound"]),
  Secret: (live) =>
    until(
      live.type !== "kubernetes.io/service-account-token" || Object.keys(live.data ?? {}).length > 0,
      "no token yet",
    ),
};

function phaseOf(live: Live, wanted: readonly string[]): Readiness {
  const phase = at<string>(live, "status", "phase") ?? "without a phase";
  return until(wanted.includes(phase), `it is ${phase}`);
}

const isObserved = (live: Live): boolean =>
  number(live, "status", "observedGeneration") >= (live.metadata.generation ?? 0);

/** Whether an object does what it is there for, by its kind's rule or its annotations `pulumi.com/skipAwait` and `pulumi.com/waitFor`. */
export function readinessOf(live: Live, beside: Beside = {}): Readiness {
  const { "pulumi.com/skipAwait": skip, "pulumi.com/waitFor": waitFor } = live.metadata.annotations ?? {};
  if (skip === "true") return ready;
  if (waitFor === undefined) return rules[live.kind ?? ""]?.(live, beside) ?? ready;
  const missing = wordsOf(waitFor).find((one) => !isMet(live, one));
  return until(missing === undefined, `it waits for ${missing}`);
}

/** One expression, or a JSON list of them. */
function wordsOf(text: string): readonly string[] {
  const values: unknown = text.startsWith("[") ? JSON.parse(text) : [text];
  return (values as unknown[]).map(String);
}

/** What {@link readinessOf} understands of `pulumi.com/waitFor`: `condition=Ready`, `condition=Ready=False`, `jsonpath={.status.phase}=Running`, `jsonpath={.status.ip}`. */
export const isUnderstood = (waitFor: string): boolean =>
  wordsOf(waitFor).every((one) => /^(condition=\w+(=\w+)?|jsonpath=\{?(\.\w+)+\}?(=.+)?)$/.test(one));

function isMet(live: Live, expression: string): boolean {
  const [how, what = "", wanted] = expression.split("=");
  if (how === "condition") return condition(live, what)?.status === (wanted ?? "True");
  const found = at<unknown>(live, ...what.replaceAll(/[{}]/g, "").split(".").filter(Boolean));
  return found !== undefined && (wanted === undefined || String(found) === wanted);
}

/** Kinds whose pods tell why they are not ready. */
export const hasPods = (kind: string): boolean => ["Deployment", "StatefulSet", "Job"].includes(kind);

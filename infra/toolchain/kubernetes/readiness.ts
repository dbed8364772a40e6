import { at, conditionsOf, type Live } from "../../cluster/object.js";

/** How far an object is. */
export interface Readiness {
  readonly isReady: boolean;
  /** What is still missing. */
  readonly says: string;
  /** It has failed for good. */
  readonly hasFailed?: boolean;
}

/** What readiness hangs on beside the object itself. */
export interface Beside {
  /** Ready addresses of a Service; of an Ingress the fewest of any of its services. */
  readonly addresses?: number;
  /** `volumeBindingMode` of a claim's class. */
  readonly binding?: string | undefined;
}

const until = (isReady: boolean, says: string): Readiness => ({ isReady, says: isReady ? "" : says });
const condition = (live: Live, type: string) => conditionsOf(live).find((one) => one.type === type);
const isTrue = (live: Live, type: string): boolean => condition(live, type)?.status === "True";
const number = (live: Live, name: string): number => at<number>(live, "status", name) ?? 0;
const hasAddress = (live: Live): boolean => at(live, "status", "loadBalancer", "ingress", 0) !== undefined;

/** Kinds that are ready later than they are there. Sources: the comments of each kind in `@pulumi/kubernetes`, "This resource waits until". */
const rules: Readonly<Record<string, (live: Live, beside: Beside) => Readiness>> = {
  Deployment(live) {
    const wanted = at<number>(live, "spec", "replicas") ?? 1;
    const progress = condition(live, "Progressing");
    const says = `${number(live, "updatedReplicas")} of ${wanted} pods made, ${number(live, "availableReplicas")} available`;
    if (progress?.reason === "ProgressDeadlineExceeded" && isSeen(live))
      return { isReady: false, hasFailed: true, says: `${says}; ${progress.message}` };
    const isThrough = progress === undefined || wanted === 0 || progress.reason === "NewReplicaSetAvailable";
    const isWhole = isThrough && number(live, "updatedReplicas") >= wanted;
    return until(isSeen(live) && isWhole && isTrue(live, "Available"), says);
  },
  StatefulSet(live) {
    const wanted = at<number>(live, "spec", "replicas") ?? 1;
    const says = `${number(live, "updatedReplicas")} of ${wanted} pods made, ${number(live, "readyReplicas")} ready`;
    const isByHand = at(live, "spec", "updateStrategy", "type") === "OnDelete";
    const isThrough = at(live, "status", "currentRevision") === at(live, "status", "updateRevision");
    const isWhole = isByHand || (isThrough && number(live, "updatedReplicas") >= wanted);
    return until(isSeen(live) && isWhole && number(live, "readyReplicas") >= wanted, says);
  },
  Job(live) {
    const failed = condition(live, "Failed");
    if (failed?.status === "True")
      return { isReady: false, hasFailed: true, says: `it failed: ${failed.reason}: ${failed.message}` };
    const counts = ["active", "succeeded", "failed"].map((word) => `${number(live, word)} ${word}`);
    return until(isTrue(live, "Complete"), `its pods: ${counts.join(", ")}`);
  },
  Service(live, { addresses = 0 }) {
    const type = at(live, "spec", "type");
    if (type === "LoadBalancer" && !hasAddress(live))
      return until(false, "no address from the load balancer");
    const isSelecting = Object.keys(at<object>(live, "spec", "selector") ?? {}).length > 0;
    const isIdle = type === "ExternalName" || !isSelecting;
    return until(isIdle || addresses > 0, "no pod that its selector names is ready");
  },
  Ingress(live, { addresses = 0 }) {
    if (!hasAddress(live)) return until(false, "no address: is there a controller of its class?");
    return until(addresses > 0, "a service of its paths has no ready pod");
  },
  PersistentVolume: (live) => phaseOf(live, ["Available", "Bound"]),
  PersistentVolumeClaim: (live, { binding }) =>
    phaseOf(live, binding === "WaitForFirstConsumer" ? ["Bound", "Pending"] : ["Bound"]),
};

const isSeen = (live: Live): boolean => number(live, "observedGeneration") >= (live.metadata.generation ?? 0);

function phaseOf(live: Live, wanted: readonly string[]): Readiness {
  const phase = at<string>(live, "status", "phase") ?? "new";
  return until(wanted.includes(phase), `it is ${phase}`);
}

/** Whether an object does what it is there for, by its kind's rule or its annotations `pulumi.com/skipAwait` and `pulumi.com/waitFor`. */
export function readinessOf(live: Live, beside: Beside = {}): Readiness {
  const { "pulumi.com/skipAwait": skip, "pulumi.com/waitFor": waitFor } = live.metadata.annotations ?? {};
  if (skip === "true") return until(true, "");
  if (waitFor === undefined) return rules[live.kind ?? ""]?.(live, beside) ?? until(true, "");
  const missing = listed(waitFor).find((one) => !isMet(live, one));
  return until(missing === undefined, `it waits for ${missing}`);
}

/** One expression, or a JSON list of them. */
const listed = (text: string): readonly string[] => (text.startsWith("[") ? JSON.parse(text) : [text]);

/** What {@link readinessOf} understands of `pulumi.com/waitFor`: `condition=Ready`, `condition=Ready=False`, `jsonpath={.status.phase}=Running`. */
export const isUnderstood = (waitFor: string): boolean =>
  listed(waitFor).every((one) => /^(condition=\w+(=\w+)?|jsonpath=\{?(\.\w+)+\}?(=.+)?)$/.test(one));

function isMet(live: Live, expression: string): boolean {
  const [how, what = "", wanted] = expression.split("=");
  if (how === "condition") return condition(live, what)?.status === (wanted ?? "True");
  const found = at<unknown>(live, ...what.replaceAll(/[{}]/g, "").split(".").filter(Boolean));
  return found !== undefined && (wanted === undefined || String(found) === wanted);
}

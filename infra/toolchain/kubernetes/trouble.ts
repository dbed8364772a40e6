import { at, type Live } from "./kinds.js";

/** Why an object's pods do not run. */
export interface Trouble {
  readonly says: string;
  /** Waiting does not help: somebody has to change something. */
  readonly isHopeless: boolean;
}
export interface Event {
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
}
interface ContainerStatus {
  readonly name?: string;
  readonly state?: Readonly<
    Record<string, { readonly reason?: string; readonly message?: string; readonly exitCode?: number }>
  >;
  readonly lastState?: ContainerStatus["state"];
}

/** Source: kubelet's image and container errors (pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime). */
const hopeless = ["ErrImageNeverPull", "InvalidImageName", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "RegistryUnavailable"]; // biome-ignore format: one line
/** What every container goes through. */
const usual = ["ContainerCreating", "PodInitializing"];

/** What is wrong with pods, worst first. */
export function troublesOf(pods: readonly Live[], events: readonly Event[]): readonly Trouble[] {
  const found = pods.flatMap((pod) => {
    const own = [...scheduling(pod), ...containers(pod)];
    const said = own.length > 0 ? own : unready(pod, events);
    return said.map(({ says, isHopeless }) => ({ says: `pod ${pod.metadata.name}: ${says}`, isHopeless }));
  });
  return found.sort((a, b) => Number(b.isHopeless) - Number(a.isHopeless));
}

/** What the controllers of pods say that are not even there: a quota, a policy. */
export const refusals = (events: readonly Event[], owner: string): readonly Trouble[] =>
  newest(
    events,
    (event) => event.reason === "FailedCreate" && event.involvedObject?.name?.startsWith(owner) === true,
  ).map(({ message = "" }) => ({ says: message, isHopeless: /forbidden|quota|violates/i.test(message) }));

function scheduling(pod: Live): readonly Trouble[] {
  const scheduled = at<Condition[]>(pod, "status", "conditions")?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status !== "False") return [];
  const message = scheduled.message ?? "";
  return [{ says: `${scheduled.reason}: ${message}`, isHopeless: isPlacedNowhere(message) }];
}
interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

/**
 * Whether no node will ever do, as far as the scheduler's words tell: `0/3 nodes are available: 1 node(s) had untolerated taint {...}, 2 node(s) didn't match
 * Pod's node affinity/selector. preemption: ...`. A full or silent node may do later.
 */
export function isPlacedNowhere(message: string): boolean {
  const reasons = /nodes are available: ([\s\S]*?)\.(?: |$)/.exec(message)?.[1]?.split(/, (?=\d+ )/) ?? [];
  const isLasting = (reason: string): boolean =>
    /affinity|selector|control-plane|didn't find available persistent volumes/.test(reason);
  return reasons.length > 0 && reasons.every(isLasting);
}

function containers(pod: Live): readonly Trouble[] {
  const all = ["initContainerStatuses", "containerStatuses"].flatMap(
    (key) => at<ContainerStatus[]>(pod, "status", key) ?? [],
  );
  return all.flatMap(({ name, state = {}, lastState = {} }) => {
    const { waiting, terminated = lastState.terminated } = state;
    const ended =
      terminated === undefined || terminated.exitCode === 0
        ? ""
        : `exited with ${terminated.exitCode}${terminated.message ? `: ${terminated.message.trim()}` : ""}`;
    if (waiting?.reason !== undefined && !usual.includes(waiting.reason)) {
      const says = [`container ${name}: ${waiting.reason}`, waiting.message, ended]
        .filter(Boolean)
        .join(": ");
      return [{ says, isHopeless: hopeless.includes(waiting.reason) }];
    }
    const hasEnded = state.terminated !== undefined && ended !== "";
    return hasEnded ? [{ says: `container ${name}: ${ended}`, isHopeless: false }] : [];
  });
}

/** The last warning of a pod that runs and is not ready, or that its node cannot start: a probe, a volume. */
function unready(pod: Live, events: readonly Event[]): readonly Trouble[] {
  if (["Succeeded"].includes(at<string>(pod, "status", "phase") ?? "")) return [];
  const isReady = at<Condition[]>(pod, "status", "conditions")?.some(({ type, status }) => type === "Ready" && status === "True"); // biome-ignore format: one line
  if (isReady === true) return [];
  const [warning] = newest(
    events,
    ({ type, involvedObject }) => type === "Warning" && involvedObject?.uid === pod.metadata.uid,
  );
  const phase = at<string>(pod, "status", "phase") ?? "Pending";
  const node = at<string>(pod, "spec", "nodeName");
  const place = node === undefined ? "" : ` on ${node}`;
  const says =
    warning === undefined ? `${phase}${place}, not ready` : `${warning.reason}${place}: ${warning.message}`;
  return [{ says, isHopeless: false }];
}

const timeOf = ({ lastTimestamp, eventTime }: Event): string => lastTimestamp ?? eventTime ?? "";
const newest = (events: readonly Event[], isIt: (event: Event) => boolean): readonly Event[] =>
  [...events]
    .filter(isIt)
    .sort((a, b) => timeOf(b).localeCompare(timeOf(a)))
    .slice(0, 1);

/** The pods of an object's newest template; the others are on their way out. A StatefulSet's are all its own: one that never was ready is in the way of the next. */
export function currentPods(
  owner: Live,
  pods: readonly Live[],
  replicaSets: readonly Live[],
): readonly Live[] {
  const here = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (owner.kind !== "Deployment") return here;
  const revision = owner.metadata.annotations?.["deployment.kubernetes.io/revision"];
  const current = replicaSets.find(
    ({ metadata }) => metadata.annotations?.["deployment.kubernetes.io/revision"] === revision,
  );
  const hash = current?.metadata.labels?.["pod-template-hash"];
  return here.filter(({ metadata }) => metadata.labels?.["pod-template-hash"] === hash);
}

/** A StatefulSet does not take away a pod of its last template that never became ready. Source: Kubernetes, StatefulSets, "Forced rollback". */
export function stuckPods(owner: Live, pods: readonly Live[]): readonly Trouble[] {
  const revision = at<string>(owner, "status", "updateRevision");
  const isOrdered = at(owner, "spec", "podManagementPolicy") !== "Parallel";
  if (owner.kind !== "StatefulSet" || !isOrdered || revision === undefined) return [];
  const isStuck = (pod: Live): boolean => troublesOf([pod], []).some(({ isHopeless }) => isHopeless);
  const stuck = pods.filter(
    (pod) => pod.metadata.labels?.["controller-revision-hash"] !== revision && isStuck(pod),
  );
  return stuck.map(({ metadata: { name } }) => ({
    says: `pod ${name} has the template before and never became ready, so that the StatefulSet does not replace it: \`kubectl delete pod ${name}\``,
    isHopeless: true,
  }));
}

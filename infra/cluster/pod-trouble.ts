import { at, conditionsOf, type Live } from "./object.js";

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
  readonly involvedObject?: { readonly name?: string; readonly uid?: string };
}

/** Source: kubelet's errors of images and containers (pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime). */
const hopeless =
  /^(ErrImageNeverPull|InvalidImageName|ErrImagePull|ImagePullBackOff|CreateContainerConfigError)$/;
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

/** What is said where not even pods are there: a quota, a policy. */
export function refusals(events: readonly Event[], owner: string): readonly Trouble[] {
  const isOurs = ({ reason, involvedObject }: Event): boolean =>
    reason === "FailedCreate" && involvedObject?.name?.startsWith(owner) === true;
  const last = newest(events.filter(isOurs));
  if (last === undefined) return [];
  return [{ says: last.message ?? "", isHopeless: /forbidden|violates/i.test(last.message ?? "") }];
}

function scheduling(pod: Live): readonly Trouble[] {
  const scheduled = conditionsOf(pod).find(({ type }) => type === "PodScheduled");
  if (scheduled?.status !== "False") return [];
  const { reason, message = "" } = scheduled;
  return [{ says: `${reason}: ${message}`, isHopeless: isPlacedNowhere(message) }];
}

/**
 * Whether no node will ever do, as far as the scheduler's words tell: `0/3 nodes are available: 1 node(s) had untolerated taint {...}, 2 node(s) didn't match
 * Pod's node affinity/selector. preemption: ...`. A full or silent node may do later.
 */
export function isPlacedNowhere(message: string): boolean {
  const reasons = /nodes are available: ([\s\S]*?)\.(?: |$)/.exec(message)?.[1]?.split(/, (?=\d+ )/) ?? [];
  const lasting = /affinity|selector|control-plane|didn't find available persistent volumes/;
  return reasons.length > 0 && reasons.every((reason) => lasting.test(reason));
}

interface Container {
  readonly name?: string;
  readonly state?: Readonly<Record<string, State>>;
  readonly lastState?: Readonly<Record<string, State>>;
}
type State = { readonly reason?: string; readonly message?: string; readonly exitCode?: number };

function containers(pod: Live): readonly Trouble[] {
  const of = (key: string): readonly Container[] => at(pod, "status", key) ?? [];
  return [...of("initContainerStatuses"), ...of("containerStatuses")].flatMap(
    ({ name, state, lastState }) => {
      const { waiting, terminated = lastState?.terminated } = state ?? {};
      const { exitCode = 0, message } = terminated ?? {};
      const ended = exitCode === 0 ? [] : [`exited with ${exitCode}`, message?.trim()];
      const isHeld = waiting?.reason !== undefined && !usual.includes(waiting.reason);
      if (!isHeld && (state?.terminated === undefined || exitCode === 0)) return [];
      const says = [`container ${name}`, ...(isHeld ? [waiting.reason, waiting.message] : []), ...ended];
      return [
        { says: says.filter(Boolean).join(": "), isHopeless: isHeld && hopeless.test(waiting.reason ?? "") },
      ];
    },
  );
}

/** The last warning of a pod that is not ready, or that its node cannot start: a probe, a volume. */
function unready(pod: Live, events: readonly Event[]): readonly Trouble[] {
  const phase = at<string>(pod, "status", "phase") ?? "Pending";
  const isReady = conditionsOf(pod).some(({ type, status }) => type === "Ready" && status === "True");
  if (isReady || phase === "Succeeded") return [];
  const warnings = events.filter(
    ({ type, involvedObject }) => type === "Warning" && involvedObject?.uid === pod.metadata.uid,
  );
  const last = newest(warnings);
  const place = ` on ${at<string>(pod, "spec", "nodeName") ?? "no node"}`;
  const says = last === undefined ? `${phase}${place}, not ready` : `${last.reason}${place}: ${last.message}`;
  return [{ says, isHopeless: false }];
}

const timeOf = ({ lastTimestamp, eventTime }: Event): string => lastTimestamp ?? eventTime ?? "";
const newest = (events: readonly Event[]): Event | undefined =>
  [...events].sort((a, b) => timeOf(b).localeCompare(timeOf(a)))[0];

/** The pods of an object's newest template; others of a Deployment are on their way out. */
export function currentPods(
  owner: Live,
  pods: readonly Live[],
  replicaSets: readonly Live[],
): readonly Live[] {
  const here = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (owner.kind !== "Deployment") return here;
  const revisionOf = ({ metadata }: Live) => metadata.annotations?.["deployment.kubernetes.io/revision"];
  const hashOf = (of: Live | undefined) => of?.metadata.labels?.["pod-template-hash"];
  const current = hashOf(replicaSets.find((set) => revisionOf(set) === revisionOf(owner)));
  return here.filter((pod) => hashOf(pod) === current);
}

/** An ordered StatefulSet does not take away a pod of its last template that never became ready. Source: Kubernetes, StatefulSets, "Forced rollback". */
export function stuckPods(owner: Live, pods: readonly Live[]): readonly Trouble[] {
  const revision = at<string>(owner, "status", "updateRevision");
  if (owner.kind !== "StatefulSet" || at(owner, "spec", "podManagementPolicy") === "Parallel") return [];
  const isOld = ({ metadata: { labels } }: Live): boolean =>
    labels?.["controller-revision-hash"] !== revision;
  const stuck = pods.filter(
    (pod) => isOld(pod) && troublesOf([pod], []).some(({ isHopeless }) => isHopeless),
  );
  return stuck.map(({ metadata: { name } }) => ({
    says: `pod ${name} has the template before and cannot start, so that it is not replaced: \`kubectl delete pod ${name}\``,
    isHopeless: true,
  }));
}

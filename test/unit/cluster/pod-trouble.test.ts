import { describe, expect, it } from "vitest";
import type { Live } from "../../../infra/cluster/object.js";
import {
  currentPods,
  isPlacedNowhere,
  refusals,
  stuckPods,
  troublesOf,
} from "../../../infra/cluster/pod-trouble.js";

const live = (kind: string, more: object = {}, metadata: object = {}): Live => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "a", namespace: "x", generation: 1, ...metadata },
  ...more,
});

describe("why pods do not run", () => {
  const pod = (status: object, metadata: object = {}): Live =>
    live("Pod", { status, spec: { nodeName: "n" } }, { name: "p", uid: "u", ...metadata });
  const waiting = (reason: string, message?: string) =>
    pod({ containerStatuses: [{ name: "c", state: { waiting: { reason, message } } }] });

  it("is a container's state", () => {
    expect(troublesOf([waiting("ErrImageNeverPull", "not there")], [])).toEqual([
      { says: "pod p: container c: ErrImageNeverPull: not there", isHopeless: true },
    ]);
    expect(troublesOf([waiting("ContainerCreating")], [])).toEqual([
      { says: "pod p: Pending on n, not ready", isHopeless: false },
    ]);
    const crashed = {
      name: "c",
      state: { waiting: { reason: "CrashLoopBackOff" } },
      lastState: { terminated: { exitCode: 2, message: "bye\n" } },
    };
    expect(troublesOf([pod({ containerStatuses: [crashed] })], [])).toEqual([
      { says: "pod p: container c: CrashLoopBackOff: exited with 2: bye", isHopeless: false },
    ]);
    expect(troublesOf([pod({ phase: "Succeeded" })], [])).toEqual([]);
    expect(
      troublesOf([pod({ phase: "Running", conditions: [{ type: "Ready", status: "True" }] })], []),
    ).toEqual([]);
  });

  it("is an event, the last warning of that very pod", () => {
    const event = (uid: string, time: string, message: string) => ({
      type: "Warning",
      reason: "FailedMount",
      message,
      lastTimestamp: time,
      involvedObject: { uid },
    });
    const events = [
      event("u", "2026-01-02", "no folder"),
      event("u", "2026-01-01", "older"),
      event("v", "2026-01-03", "another's"),
    ];
    expect(troublesOf([pod({ phase: "Pending" })], events)).toEqual([
      { says: "pod p: FailedMount on n: no folder", isHopeless: false },
    ]);
  });

  it("is the scheduler's word; only where no node can ever do is it hopeless", () => {
    const of = (reasons: string): string =>
      `0/3 nodes are available: ${reasons}. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.`;
    const taint = "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }";
    expect(isPlacedNowhere(of("3 node(s) didn't match Pod's node affinity/selector"))).toBe(true);
    expect(isPlacedNowhere(of(`${taint}, 2 node(s) didn't match PersistentVolume's node affinity`))).toBe(
      true,
    );
    expect(
      isPlacedNowhere(of("1 Insufficient memory, 2 node(s) didn't match Pod's node affinity/selector")),
    ).toBe(false);
    expect(
      isPlacedNowhere(
        of(
          "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 2 node(s) didn't match Pod's node affinity/selector",
        ),
      ),
    ).toBe(false);
    expect(
      isPlacedNowhere(
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not helpful",
      ),
    ).toBe(false);
    const unscheduled = pod({
      conditions: [
        {
          type: "PodScheduled",
          status: "False",
          reason: "Unschedulable",
          message: of("3 node(s) didn't match Pod's node affinity/selector"),
        },
      ],
    });
    expect(
      troublesOf([waiting("CrashLoopBackOff"), unscheduled], []).map(({ isHopeless }) => isHopeless),
    ).toEqual([true, false]);
  });

  it("is what their maker was refused, where there are none", () => {
    const event = (name: string, message: string) => ({
      reason: "FailedCreate",
      message,
      involvedObject: { name },
    });
    expect(refusals([event("web-1", "exceeded quota: forbidden"), event("other", "x")], "web")).toEqual([
      { says: "exceeded quota: forbidden", isHopeless: true },
    ]);
    expect(refusals([], "web")).toEqual([]);
  });

  it("asks only the pods that matter", () => {
    const revision = (value: string) => ({ annotations: { "deployment.kubernetes.io/revision": value } });
    const set = (hash: string, value: string) =>
      live("ReplicaSet", {}, { ...revision(value), labels: { "pod-template-hash": hash } });
    const of = (hash: string, more: object = {}) =>
      pod({}, { labels: { "pod-template-hash": hash }, ...more });
    const [old, current, leaving] = [of("a"), of("b"), of("b", { deletionTimestamp: "now" })];
    expect(
      currentPods(
        live("Deployment", {}, revision("2")),
        [old, current, leaving],
        [set("a", "1"), set("b", "2")],
      ),
    ).toEqual([current]);
    const kept = live("StatefulSet", { status: { updateRevision: "new" } });
    const stuck = {
      ...waiting("ErrImageNeverPull"),
      metadata: { name: "s-0", labels: { "controller-revision-hash": "old" } },
    };
    expect(stuckPods(kept, [stuck])).toEqual([
      { says: expect.stringContaining("kubectl delete pod s-0"), isHopeless: true },
    ]);
    expect(stuckPods({ ...kept, spec: { podManagementPolicy: "Parallel" } }, [stuck])).toEqual([]);
  });
});

/**
 * Plays the kubelet of nodes: says of pods what a real one would, and runs nothing. All else in these tests is Kubernetes' own. What a real kubelet
 * does is the lab's to show.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { KubePod } from "../../policy/agent/runner-kubernetes-job.js";
import type { ControlPlane } from "./control-plane.js";

/** What a node makes of a pod. `down`: nothing at all. */
export type Play = (pod: KubePod) => "down" | NonNullable<KubePod["status"]>;

const now = (): string => new Date().toISOString();

export const running = (): NonNullable<KubePod["status"]> => ({
  phase: "Running",
  startTime: now(),
  containerStatuses: [container({ running: { startedAt: now() } })],
});

export const imageMissing = (): NonNullable<KubePod["status"]> => ({
  phase: "Pending",
  startTime: now(),
  containerStatuses: [
    container({
      waiting: { reason: "ErrImageNeverPull", message: 'Container image "r/x:1" is not present' },
    }),
  ],
});

export const ended = (exitCode: number, message: string): NonNullable<KubePod["status"]> => ({
  phase: exitCode === 0 ? "Succeeded" : "Failed",
  startTime: now(),
  containerStatuses: [
    container({
      terminated: { exitCode, reason: "Error", message, startedAt: now(), finishedAt: now() } as object,
    }),
  ],
});

function container(state: object): NonNullable<NonNullable<KubePod["status"]>["containerStatuses"]>[number] {
  return {
    ...{ name: "microservice", image: "r/x:1", imageID: "", ready: false, restartCount: 0 },
    state,
  };
}

export class PlayedKubelet {
  play: Play = running;
  readonly #plane: ControlPlane;
  readonly #node: string;
  readonly #told = new Map<string, string>();
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(plane: ControlPlane, node: string) {
    this.#plane = plane;
    this.#node = node;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const { body } = await this.#plane.call(
        "GET",
        `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${this.#node}`)}`,
      );
      for (const pod of (body.items ?? []) as (KubePod & { metadata: { namespace: string; uid: string } })[])
        await this.#tell(pod);
      await sleep(50);
    }
  }

  async #tell(pod: KubePod & { metadata: { namespace: string; uid: string } }): Promise<void> {
    const { name, namespace, uid, deletionTimestamp } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const status = this.play(pod);
    if (status === "down") return;
    // Its containers have ended: it may go.
    if (deletionTimestamp !== undefined)
      return void (await this.#plane.call("DELETE", path, { gracePeriodSeconds: 0 }));
    const told = status.phase ?? "";
    if (this.#told.get(uid) === told) return;
    this.#told.set(uid, told);
    await this.#plane.call("PATCH", `${path}/status`, { status });
  }
}

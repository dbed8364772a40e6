import { setTimeout as sleep } from "node:timers/promises";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Logger } from "../platform/log.js";
import type { JobRunner, JobService, Running } from "./runner.js";
import { type ClusterApi, ClusterRefusal } from "./runner-kubernetes-api.js";
import {
  JOB_NAME_LABEL,
  jobName,
  judge,
  type KubeEvent,
  type KubeJob,
  type KubePod,
  kubeJob,
  type StartLimits,
} from "./runner-kubernetes-job.js";

export interface KubernetesRunnerOptions {
  readonly api: ClusterApi;
  /** What each job looks like (the plan's, dynamos/kubernetes/agent-plan.ts). Its labels are those of this agent's jobs alone. */
  readonly template: KubeJob;
  readonly log: Logger;
  /** Default: 8 s until its node takes a pod, 15 s until it runs. Both below the limit of a step, so that a reason is told and no timeout. */
  readonly limits?: StartLimits;
}

const JOBS = "apis/batch/v1/jobs";
const PODS = "api/v1/pods";
const EVENTS = "api/v1/events";
const LIMITS: StartLimits = { takenMs: 8_000, runningMs: 15_000 };
/** How often a start is looked at while nothing is told: a node that is down says nothing. */
const LOOK_MS = 500;
/** A pod's own time to end, its removal, and some. */
const STOP_MS = 15_000;

/** One microservice on the cluster. */
interface Pod extends Running {
  readonly service: JobService;
  readonly name: string;
  readonly since: number;
  pod?: KubePod;
  warning?: KubeEvent;
  over: boolean;
  /** Resolves once its pod is gone, or was never made. */
  readonly gone: Promise<void>;
  readonly end: (problem: Problem) => void;
  readonly markGone: () => void;
}

/**
 * Microservices as Kubernetes Jobs in the agent's own namespace, pinned to its party's node. They are asked by their queues; how each is, the
 * runner hears by watching pods and events, so that one that cannot start is told with the reason.
 */
export class KubernetesRunner implements JobRunner {
  readonly #options: KubernetesRunnerOptions;
  readonly #limits: StartLimits;
  readonly #pods = new Map<string, Pod>();
  readonly #starting = new Map<string, Promise<Pod>>();
  readonly #closed = new AbortController();
  readonly #watches: readonly Promise<void>[];
  readonly #selector: string;

  private constructor(options: KubernetesRunnerOptions) {
    this.#options = options;
    this.#limits = options.limits ?? LIMITS;
    this.#selector = selectorOf(options.template);
    const { api } = options;
    const { signal } = this.#closed;
    this.#watches = [
      api.watch<KubePod>(
        PODS,
        { labelSelector: this.#selector },
        {
          change: ({ type, object }) => this.#seen(object, type === "DELETED"),
          list: (names) => this.#listed(names),
          trouble: (error) =>
            options.log.warn({ error }, "the cluster's pods cannot be watched; trying again"),
        },
        signal,
      ),
      api.watch<KubeEvent>(
        EVENTS,
        { fieldSelector: "type=Warning" },
        {
          change: ({ object }) => this.#said(object),
          list: () => {},
          trouble: (error) =>
            options.log.warn({ error }, "the cluster's events cannot be watched; trying again"),
        },
        signal,
      ),
    ];
    void this.#look();
  }

  /**
   * Takes away what an agent before this one left: its queues are gone, and nobody could ask it any more.
   *
   * @throws CodedError `JOB-CLUSTER` when the API server does not answer, or refuses
   */
  static async open(options: KubernetesRunnerOptions): Promise<KubernetesRunner> {
    const { api, template, log } = options;
    try {
      const left = await api.list<KubeJob>(JOBS, { labelSelector: selectorOf(template) });
      for (const { metadata } of left) {
        await api.delete(JOBS, metadata.name);
        log.warn({ job: metadata.name }, "removed a job that an earlier run of this agent did not end");
      }
    } catch (error) {
      throw cluster("the cluster's jobs cannot be read", error);
    }
    return new KubernetesRunner(options);
  }

  async ensure(service: JobService): Promise<Running> {
    const name = jobName(service);
    const known = this.#pods.get(name);
    if (known !== undefined) return known;
    const starting = this.#starting.get(name) ?? this.#start(name, service);
    this.#starting.set(name, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(name);
    }
  }

  async stop(job: string): Promise<void> {
    // One that is being started now would be left behind.
    await Promise.allSettled(this.#starting.values());
    const pods = [...this.#pods.values()].filter(({ service }) => service.job === job);
    await Promise.all(pods.map((pod) => this.#end(pod)));
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#starting.values());
    try {
      await Promise.all([...this.#pods.values()].map((pod) => this.#end(pod)));
    } finally {
      this.#closed.abort();
      await Promise.all(this.#watches);
      await this.#options.api.close();
    }
  }

  async #start(name: string, service: JobService): Promise<Pod> {
    const { api, template, log } = this.#options;
    const job = kubeJob(template, service, log.level);
    // Known before it is made, so that nothing that is told of it is missed.
    const pod = newPod(name, service);
    this.#pods.set(name, pod);
    try {
      const made = await api.create(JOBS, job);
      log.info({ job: service.job, microservice: service.service, name, made }, "microservice started");
      return pod;
    } catch (error) {
      this.#pods.delete(name);
      const why =
        error instanceof ClusterRefusal
          ? error.message
          : `the API server does not answer (${reasonOf(error)})`;
      throw new CodedError(
        {
          code: "JOB-START",
          path: `microservices/${service.service}`,
          message: `microservice ${service.service} could not be started: ${why}`,
          remedy: "see the namespace's quota, the agent's Role, and the cluster's control plane",
        },
        { cause: error },
      );
    }
  }

  async #end(pod: Pod): Promise<void> {
    const { api } = this.#options;
    const { job, service } = pod.service;
    pod.over = true;
    try {
      await api.delete(JOBS, pod.name);
    } catch (error) {
      throw cluster(`job ${pod.name} cannot be deleted`, error);
    }
    // A Job whose pod was never seen has none to wait for.
    const late = sleep(pod.pod === undefined ? LOOK_MS : STOP_MS, "late" as const, { ref: false });
    const how = await Promise.race([pod.gone, late]);
    this.#pods.delete(pod.name);
    pod.end({
      code: "JOB-DIED",
      path: `microservices/${service}`,
      message: `microservice ${service} was ended`,
    });
    if (how === "late" && pod.pod !== undefined) {
      throw new CodedError({
        code: "JOB-STUCK",
        path: job,
        message: `the pod of ${pod.name} is still there after ${STOP_MS / 1000} s`,
        remedy: "is its node down? It goes when the node is back, or when an operator deletes it",
      });
    }
  }

  #seen(object: KubePod, deleted: boolean): void {
    const pod = this.#pods.get(object.metadata.labels?.[JOB_NAME_LABEL] ?? "");
    if (pod === undefined) return;
    pod.pod = deleted ? { ...object, metadata: { ...object.metadata, deletionTimestamp: "now" } } : object;
    if (deleted) pod.markGone();
    this.#judge(pod);
  }

  /** After a break: pods that went meanwhile are not told any more. */
  #listed(names: ReadonlySet<string>): void {
    for (const { pod } of this.#pods.values())
      if (pod !== undefined && !names.has(pod.metadata.name)) this.#seen(pod, true);
  }

  #said(event: KubeEvent): void {
    const { kind, name = "" } = event.involvedObject;
    for (const pod of this.#pods.values()) {
      if ((kind === "Job" && name === pod.name) || (kind === "Pod" && name === pod.pod?.metadata.name)) {
        pod.warning = event;
        this.#judge(pod);
      }
    }
  }

  async #look(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      for (const pod of this.#pods.values()) this.#judge(pod);
      await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => {}); // the end ends the pause
    }
  }

  #judge(pod: Pod): void {
    if (pod.over) return;
    const known = { pod: pod.pod, warning: pod.warning, ageMs: performance.now() - pod.since };
    const verdict = judge(pod.service, known, this.#limits);
    if (verdict.state !== "over") return;
    pod.over = true;
    this.#options.log.warn(
      { job: pod.service.job, name: pod.name, ...verdict.problem },
      "microservice is over",
    );
    pod.end(verdict.problem);
  }
}

function newPod(name: string, service: JobService): Pod {
  const { promise: ended, resolve: end } = Promise.withResolvers<Problem>();
  const { promise: gone, resolve: markGone } = Promise.withResolvers<void>();
  return { name, service, since: performance.now(), over: false, ended, end, gone, markGone };
}

/** The template's own labels: those of this agent's jobs, and of no others. */
const selectorOf = ({ metadata }: KubeJob): string =>
  ["type", "app"].map((key) => `${key}=${metadata.labels?.[key] ?? ""}`).join(",");

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const cluster = (what: string, error: unknown): CodedError =>
  new CodedError(
    {
      code: "JOB-CLUSTER",
      message: `${what}: ${reasonOf(error)}`,
      remedy: "is the API server there, and does the agent's account have its Role?",
    },
    { cause: error },
  );

import { createHash } from "node:crypto";
import { IMAGE_FOLDER, programOf } from "../contract/images.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { JobService } from "./runner.js";

/** As much of a Kubernetes Job as an agent touches. The rest is its template's, and stays as it is. */
export interface KubeJob {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [more: string]: unknown;
  };
  readonly spec: {
    readonly template: {
      readonly metadata?: {
        readonly labels?: Readonly<Record<string, string>>;
        readonly [more: string]: unknown;
      };
      readonly spec: {
        readonly nodeName?: string;
        readonly containers: readonly KubeContainer[];
        readonly [more: string]: unknown;
      };
      readonly [more: string]: unknown;
    };
    readonly [more: string]: unknown;
  };
  readonly [more: string]: unknown;
}

interface KubeContainer {
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly [more: string]: unknown;
}

/** As much of a pod as tells how it is. */
export interface KubePod {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    /** When the node took it. */
    readonly startTime?: string;
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
        readonly running?: object;
        readonly terminated?: {
          readonly exitCode?: number;
          readonly reason?: string;
          readonly message?: string;
        };
      };
    }[];
  };
}

/** What Kubernetes says about an object while it works on it. */
export interface KubeEvent {
  readonly metadata: { readonly name: string };
  readonly involvedObject: { readonly kind?: string; readonly name?: string };
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
}

/** The label by which a pod is known to be a Job's. Source: Kubernetes, "Well-Known Labels". */
export const JOB_NAME_LABEL = "batch.kubernetes.io/job-name";

/** The name of a job's microservice on the cluster: the same whoever asks, so that nobody starts it twice. */
export function jobName({ job, service }: Pick<JobService, "job" | "service">): string {
  const hash = createHash("sha256").update(`${job}\0${service}`).digest("hex").slice(0, 10);
  const readable = job
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 32)
    .replace(/^-+|-+$/g, "");
  return readable === "" ? `j-${hash}` : `j-${readable}-${hash}`;
}

/**
 * The Job that runs a microservice: the template, with the program and what it is for.
 *
 * @throws CodedError `JOB-ENTRY` for a program that is not below the image's folder
 */
export function kubeJob(template: KubeJob, service: JobService, logLevel: string): KubeJob {
  const { entry } = service;
  if (
    !/^[\w.-]+(\/[\w.-]+)*$/.test(entry) ||
    entry.split("/").some((part) => part === "." || part === "..")
  ) {
    throw new CodedError({
      code: "JOB-ENTRY",
      path: entry,
      message: `entry ${JSON.stringify(entry)} is not a path below the experiment's folder`,
      remedy: "set the microservice's entry to a file below the experiment's folder",
    });
  }
  const env = {
    SERVICE_NAME: service.service,
    JOB_NAME: service.job,
    JOB_QUEUE: service.queue,
    LOG_LEVEL: logLevel,
    ROUND_SECONDS: String(service.roundMs / 1_000),
  };
  const { metadata, spec } = template;
  const { template: pod } = spec;
  return {
    ...template,
    metadata: { ...metadata, name: jobName(service) },
    spec: {
      ...spec,
      template: {
        ...pod,
        spec: {
          ...pod.spec,
          containers: pod.spec.containers.map((container) => ({
            ...container,
            args: [`${IMAGE_FOLDER}/${programOf(entry)}`],
            env: [
              ...(container.env ?? []).filter(({ name }) => !Object.hasOwn(env, name)),
              ...Object.entries(env).map(([name, value]) => ({ name, value })),
            ],
          })),
        },
      },
    },
  };
}

/** Why a container waits for ever. "ContainerCreating" and "PodInitializing" are not among them: they pass. */
const HOPELESS =
  /^(ErrImage\w*|Image\w*BackOff|InvalidImageName|RegistryUnavailable|Create\w*Error|RunContainerError|CrashLoopBackOff)$/;

/** What is known of a microservice on the cluster. */
export interface Known {
  readonly pod?: KubePod | undefined;
  /** What was said last of it, or of its Job, that is not good. */
  readonly warning?: KubeEvent | undefined;
  /** How long it has been known, in milliseconds. */
  readonly ageMs: number;
}

/** Limits of a start, in milliseconds. */
export interface StartLimits {
  /** Until the pod's node has taken it: one that is down never does. */
  readonly takenMs: number;
  /** Until its container runs. */
  readonly runningMs: number;
}

type Verdict =
  | { readonly state: "starting" | "running" }
  | { readonly state: "over"; readonly problem: Problem };

/** How a microservice is: on its way, at work, or over, with what to tell who waits for it. */
export function judge(service: JobService, { pod, warning, ageMs }: Known, limits: StartLimits): Verdict {
  const who = `microservice ${service.service}`;
  const path = `microservices/${service.service}`;
  const over = (code: "JOB-START" | "JOB-DIED", message: string, remedy: string): Verdict => ({
    state: "over",
    problem: { code, path, message, remedy },
  });
  const failed = (why: string): Verdict =>
    over(
      "JOB-START",
      `${who} could not be started: ${why}`,
      "see the agent's namespace: its pods and events",
    );
  const died = (how: string): Verdict =>
    over("JOB-DIED", `${who} ${how}`, "look at the agent's log; its state is lost, so start the job anew");
  const said = warning === undefined ? "" : `${warning.reason}: ${firstLine(warning.message)}`;
  if (pod === undefined) {
    if (warning?.involvedObject.kind === "Job") return failed(said);
    return ageMs > limits.takenMs ? failed("the cluster made no pod for it") : { state: "starting" };
  }
  const { status = {} } = pod;
  const state = status.containerStatuses?.[0]?.state;
  if (state?.terminated !== undefined) {
    const { exitCode, reason, message } = state.terminated;
    const words = lastWords(message);
    return died(`ended with exit code ${exitCode}${reason === undefined ? "" : ` (${reason})`}${words}`);
  }
  // Turned away by its node before anything ran.
  if (status.phase === "Failed") return failed(`${status.reason ?? "refused"}: ${firstLine(status.message)}`);
  if (pod.metadata.deletionTimestamp !== undefined) return died("was taken away from the cluster");
  if (state?.running !== undefined) return { state: "running" };
  const waiting = state?.waiting;
  if (waiting?.reason !== undefined && HOPELESS.test(waiting.reason))
    return failed(`${waiting.reason}: ${firstLine(waiting.message)}`);
  if (status.startTime === undefined && ageMs > limits.takenMs)
    return failed(
      `node ${pod.spec?.nodeName ?? "?"} has not taken its pod within ${limits.takenMs / 1000} s; is it down?`,
    );
  if (ageMs > limits.runningMs)
    return failed(
      `it does not run after ${limits.runningMs / 1000} s (${said || (waiting?.reason ?? "no reason given")})`,
    );
  return { state: "starting" };
}

const firstLine = (text = ""): string => (text.trim().split("\n")[0] ?? "").slice(0, 300);

/** What a program said at its end: the line of an error, else the last. */
function lastWords(text = ""): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((one) => /^\w*Error\b/.test(one)) ?? lines.at(-1);
  return line === undefined ? "" : `: ${line.slice(0, 300)}`;
}

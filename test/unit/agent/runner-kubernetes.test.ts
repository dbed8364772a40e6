import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jobTemplate } from "../../../dynamos/kubernetes/agent-plan.js";
import { partyPlace } from "../../../dynamos/kubernetes/plan.js";
import type { JobService } from "../../../policy/agent/runner.js";
import {
  jobName,
  judge,
  type Known,
  type KubeJob,
  kubeJob,
} from "../../../policy/agent/runner-kubernetes-job.js";
import { imagesOf, USERS } from "../../support/random-market.js";

const service: JobService = {
  job: "0b2e9c7a5d0e4f6a9c552d7b7b1f8a1c",
  service: "vflClient",
  entry: "microservices/vfl-client.mts",
  queue: "0b2e9c7a5d0e4f6a9c552d7b7b1f8a1cclientone1",
  roundMs: 60_000,
};
const place = partyPlace("clientone", "worker-2", {
  users: USERS,
  images: { from: "registry", references: imagesOf() },
});
/** The very template that a deployment gives the agent. */
const template = JSON.parse(
  JSON.stringify(jobTemplate({ party: "clientone", node: "worker-2", role: "agent" }, place)),
) as KubeJob;
const limits = { takenMs: 8_000, runningMs: 15_000 };
const told = (known: Partial<Known>) => judge(service, { ageMs: 1_000, ...known }, limits);
const pod = (status: NonNullable<Known["pod"]>["status"], spec = { nodeName: "worker-2" }): Known["pod"] => ({
  metadata: { name: "j-x" },
  spec,
  ...(status === undefined ? {} : { status }),
});
const waiting = (reason: string, message?: string): Known["pod"] =>
  pod({
    phase: "Pending",
    startTime: "2026-01-01T00:00:00Z",
    containerStatuses: [{ state: { waiting: { reason, ...(message === undefined ? {} : { message }) } } }],
  });

describe("an agent's job on a cluster", () => {
  it("is the plan's template with its program, its queue, and a name of its own", () => {
    const job = kubeJob(template, service, "info");
    expect(job.metadata.name).toMatch(/^j-0b2e9c7a5d0e4f6a9c552d7b7b1f8a1c-[0-9a-f]{10}$/);
    const { spec } = job.spec.template;
    expect(spec.nodeName).toBe("worker-2");
    expect(job.spec).toMatchObject({ backoffLimit: 0, activeDeadlineSeconds: 12_600 });
    const [container] = spec.containers;
    expect(container?.args).toEqual(["/app/microservices/vfl-client.js"]);
    expect(Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))).toEqual({
      AMQP_HOST: "broker.dynamos-core.svc",
      AMQP_PORT: "5672",
      AMQP_USER: "jobs-clientone",
      AMQP_PASSWORD_FILE: "/etc/dynamos/secrets/broker-jobs-clientone",
      DATA_FOLDER: "/data",
      DATA_STEWARD_NAME: "clientone",
      GRANT_KEYS_FILE: "/var/lib/dynamos/work/grant-keys.json",
      HOME: "/tmp",
      JOB_NAME: service.job,
      JOB_QUEUE: service.queue,
      LOG_LEVEL: "info",
      ROUND_SECONDS: "60",
      SERVICE_NAME: "vflClient",
    });
    expect(kubeJob(template, service, "info")).toEqual(job);
  });

  it("has a name that Kubernetes takes, another for each microservice of each job", () => {
    const name = fc.string({ minLength: 1, maxLength: 128 });
    fc.assert(
      fc.property(name, name, name, name, (job, a, other, b) => {
        const [one, two] = [jobName({ job, service: a }), jobName({ job: other, service: b })];
        // Its pods' names are longer by six.
        expect(one).toMatch(/^[a-z]([-a-z0-9]{0,55}[a-z0-9])?$/);
        expect(one === two).toBe(job === other && a === b);
      }),
    );
  });

  it("runs no program from outside its image's folder", () => {
    for (const entry of ["", "../x.js", "/bin/sh", "a/../../x", "a//b", "--eval=1 2", "./a"]) {
      expect(() => kubeJob(template, { ...service, entry }, "info")).toThrow(
        expect.objectContaining({ code: "JOB-ENTRY" }),
      );
    }
  });

  it("is on its way while nothing is wrong, and at work once its container runs", () => {
    expect(told({})).toEqual({ state: "starting" });
    expect(told({ pod: pod(undefined) })).toEqual({ state: "starting" });
    expect(told({ pod: waiting("ContainerCreating") })).toEqual({ state: "starting" });
    const running = pod({
      phase: "Running",
      startTime: "t",
      containerStatuses: [{ state: { running: {} } }],
    });
    expect(told({ pod: running, ageMs: 3_600_000 })).toEqual({ state: "running" });
  });

  it("is answered with the reason when it cannot start: image, quota, node", () => {
    const problem = (known: Partial<Known>): string => {
      const verdict = told(known);
      if (verdict.state !== "over") throw new Error(verdict.state);
      return `${verdict.problem.code} ${verdict.problem.message}`;
    };
    expect(problem({ pod: waiting("ErrImageNeverPull", 'Container image "r/x:1" is not present') })).toBe(
      'JOB-START microservice vflClient could not be started: ErrImageNeverPull: Container image "r/x:1" is not present',
    );
    for (const reason of [
      "ErrImagePull",
      "ImagePullBackOff",
      "InvalidImageName",
      "CreateContainerConfigError",
    ])
      expect(problem({ pod: waiting(reason) })).toMatch(/^JOB-START/);
    const quota = {
      metadata: { name: "e" },
      involvedObject: { kind: "Job", name: "j" },
      reason: "FailedCreate",
      message: "exceeded quota: pods",
    };
    expect(problem({ warning: quota })).toContain("FailedCreate: exceeded quota: pods");
    expect(
      problem({ pod: pod({ phase: "Failed", reason: "OutOfcpu", message: "Node didn't have enough" }) }),
    ).toBe("JOB-START microservice vflClient could not be started: OutOfcpu: Node didn't have enough");
    expect(problem({ pod: pod({ phase: "Pending" }), ageMs: 8_001 })).toContain(
      "node worker-2 has not taken its pod within 8 s; is it down?",
    );
    const mount = { ...quota, involvedObject: { kind: "Pod", name: "j-x" }, reason: "FailedMount" };
    expect(problem({ pod: waiting("ContainerCreating"), warning: mount, ageMs: 15_001 })).toContain(
      "FailedMount",
    );
    expect(problem({ ageMs: 8_001 })).toContain("the cluster made no pod for it");
  });

  it("is told with its last words when it ends while its job goes on", () => {
    const terminated = {
      exitCode: 1,
      reason: "Error",
      message: "one\nTypeError: x is not a function\n    at y\n",
    };
    const verdict = told({ pod: pod({ phase: "Failed", containerStatuses: [{ state: { terminated } }] }) });
    expect(verdict).toMatchObject({
      state: "over",
      problem: {
        code: "JOB-DIED",
        message: "microservice vflClient ended with exit code 1 (Error): TypeError: x is not a function",
      },
    });
  });
});

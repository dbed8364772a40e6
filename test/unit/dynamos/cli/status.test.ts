import { describe, expect, it } from "vitest";
import type { StackSnapshot } from "../../../../dynamos/cli/stack-snapshot.js";
import { statusText } from "../../../../dynamos/cli/status.js";
import type { ServiceStatus } from "../../../../infra/local/index.js";

const now = Date.parse("2026-11-22T10:00:00Z");
const service = (name: string, node: string, state: ServiceStatus["state"] = "ready"): ServiceStatus => ({
  name,
  node,
  state,
  restarts: 0,
  ports: { http: 4001 },
  folder: `/p/.state/dev/nodes/${node}/${name}`,
  log: `/p/.state/dev/logs/${name}.log`,
  specHash: "0",
});
const snapshot: StackSnapshot = {
  stack: "dev",
  folder: "/p/.state/dev",
  gatewayUrl: "http://127.0.0.1:4001",
  supervisor: true,
  slices: [
    {
      name: "dynamos-fabric-dev",
      state: "StableOK",
      leaseEnd: "2026-12-06T10:00:00.000Z",
      hosts: {
        core: { site: "AMST", address: "10.128.0.2" },
        clientone: { site: "AMST", address: "10.128.0.3" },
      },
    },
  ],
  services: [service("orchestrator", "core"), service("agent-clientone", "clientone")],
  agentsOnline: ["clientone"],
  jobs: [
    {
      jobId: "0123456789abcdef",
      status: "running",
      requestType: "vflTrainRequest",
      round: 31,
      rounds: 100,
      reports: [],
      user: "ada@uva.nl",
    },
    {
      jobId: "fedcba9876543210",
      status: "refused",
      requestType: "vflTrainRequest",
      round: 32,
      reports: [],
      user: "ada@uva.nl",
      end: {
        status: "refused",
        rounds: 31,
        reason: "POL-NO-AGREEMENT: clientthree has no agreement for ada@uva.nl",
      },
    },
  ],
};

describe("statusText", () => {
  it("shows what runs", () => {
    expect(`\n${statusText(snapshot, now, "/p")}`).toMatchInlineSnapshot(`
      "
      stack dev · gateway http://127.0.0.1:4001
      slice dynamos-fabric-dev · StableOK · lease until 2026-12-06 10:00 UTC, 14 days left

      node       site  address     service          state          ports      log
      clientone  AMST  10.128.0.3  agent-clientone  ready, online  http 4001  .state/dev/logs/agent-clientone.log
      core       AMST  10.128.0.2  orchestrator     ready          http 4001  .state/dev/logs/orchestrator.log

      jobs
        01234567  vflTrainRequest  ada@uva.nl  round 31/100
      last refusals
        fedcba98  vflTrainRequest  ada@uva.nl  after 31 rounds: POL-NO-AGREEMENT: clientthree has no agreement for ada@uva.nl
      "
    `);
  });

  it("says first what is down", () => {
    const text = statusText(
      {
        ...snapshot,
        services: [service("orchestrator", "core", "stopped"), service("agent-clientone", "clientone")],
        jobs: undefined as never,
        silent: "the orchestrator is stopped",
      },
      now,
      "/p",
    );
    expect(text).toContain("1 of 2 services are down: orchestrator; dynamos-fabric up starts them");
    expect(text).toContain("jobs: not known, the orchestrator is stopped");
  });

  it("counts all as down without their supervisor", () => {
    expect(statusText({ ...snapshot, supervisor: false }, now, "/p")).toContain("2 of 2 services are down");
  });

  it("says when there is nothing", () => {
    expect(
      statusText({ stack: "dev", folder: "/p", supervisor: false, slices: [], services: [] }, now, "/p"),
    ).toBe("stack dev is not up; dynamos-fabric up makes it\n");
  });

  it("counts the lease in hours when it runs out", () => {
    const [slice] = snapshot.slices;
    if (slice === undefined) throw new Error("no slice");
    expect(
      statusText({ ...snapshot, slices: [{ ...slice, leaseEnd: "2026-11-23T09:30:00.000Z" }] }, now, "/p"),
    ).toContain("23 hours left");
    expect(
      statusText({ ...snapshot, slices: [{ ...slice, leaseEnd: "2026-11-21T09:30:00.000Z" }] }, now, "/p"),
    ).toContain("the lease has ended");
  });
});

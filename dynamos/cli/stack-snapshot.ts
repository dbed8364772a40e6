import { readFileSync } from "node:fs";
import { knownLeaseEnd } from "../../infra/fabric/lease-file.js";
import type { ServiceStatus } from "../../infra/local/service.js";
import { statusOf } from "../../infra/local/stack.js";
import { StateFolder } from "../../infra/local/state-folder.js";
import type { OnlineAgent } from "../../policy/contract/documents.js";
import type { JobSnapshot } from "../../policy/contract/job.js";
import { GATEWAY, OPERATOR_TOKEN, ORCHESTRATOR } from "../services.js";
import { type RecordedResource, recordedResources } from "./recorded-resources.js";

/** A slice as the engine's state has it. */
export interface SliceView {
  readonly name: string;
  /** FABRIC's word, e.g. `StableOK`. */
  readonly state: string;
  /** ISO 8601; absent where FABRIC has not said. */
  readonly leaseEnd?: string;
  readonly hosts: Readonly<
    Record<string, { readonly site?: string; readonly address?: string; readonly managementIp?: string }>
  >;
}

/** A job as the orchestrator lists it. */
export type ListedJob = JobSnapshot & { readonly user?: string };

/** All that `status` shows: also its `--json`. */
export interface StackSnapshot {
  readonly stack: string;
  /** The stack's state folder. */
  readonly folder: string;
  readonly gatewayUrl?: string;
  readonly supervisor: boolean;
  readonly slices: readonly SliceView[];
  readonly services: readonly ServiceStatus[];
  /** Names of agents that are there to work; absent where the orchestrator did not say. */
  readonly agentsOnline?: readonly string[];
  readonly jobs?: readonly ListedJob[];
  /** Why the orchestrator was not asked or did not answer. */
  readonly silent?: string;
}

const callSeconds = 3;

/** Looks at the supervisor's records, the engine's state and, where it runs, the orchestrator. Starts and changes nothing. */
export async function stackSnapshot(where: {
  readonly project: string;
  readonly stack: string;
  readonly state: string;
}): Promise<StackSnapshot> {
  const { supervisor, services } = statusOf(where.state);
  const resources = recordedResources(where);
  const gateway = services.find((s) => s.name === GATEWAY);
  const recorded = resources.find((r) => r.type === "pulumi:pulumi:Stack")?.outputs?.gatewayUrl;
  const gatewayUrl =
    gateway?.state === "ready"
      ? `http://127.0.0.1:${gateway.ports.http}`
      : services.length === 0 && typeof recorded === "string"
        ? recorded
        : undefined;
  return {
    stack: where.stack,
    folder: where.state,
    ...(gatewayUrl === undefined ? {} : { gatewayUrl }),
    supervisor,
    slices: resources
      .filter((r) => r.type === "pulumi-nodejs:dynamic/fabric:Slice")
      .map((r) => sliceView(where.state, r)),
    services,
    ...(await askOrchestrator(where.state, services)),
  };
}

function sliceView(state: string, { id, outputs = {} }: RecordedResource): SliceView {
  const end = knownLeaseEnd(state, String(outputs.name), id, outputs.leaseEnd);
  return {
    name: String(outputs.name ?? "?"),
    state: String(outputs.sliceState ?? "?"),
    ...(end === undefined ? {} : { leaseEnd: end.toISOString() }),
    hosts: (outputs.hosts ?? {}) as SliceView["hosts"],
  };
}

async function askOrchestrator(
  state: string,
  services: readonly ServiceStatus[],
): Promise<Pick<StackSnapshot, "agentsOnline" | "jobs" | "silent">> {
  const orchestrator = services.find((s) => s.name === ORCHESTRATOR);
  if (orchestrator === undefined) return {};
  if (orchestrator.state !== "ready") return { silent: `the orchestrator is ${orchestrator.state}` };
  try {
    const token = readFileSync(new StateFolder(state).secretFile(OPERATOR_TOKEN), "utf8").trim();
    const get = async <T>(path: string): Promise<T> => {
      const response = await fetch(`http://127.0.0.1:${orchestrator.ports.http}/api/v1/${path}`, {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(callSeconds * 1000),
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return (await response.json()) as T;
    };
    const [{ agents }, { jobs }] = await Promise.all([
      get<{ agents: readonly OnlineAgent[] }>("agents"),
      get<{ jobs: readonly ListedJob[] }>("jobs"),
    ]);
    return { agentsOnline: agents.map((a) => a.name).sort(), jobs };
  } catch (error) {
    return {
      silent: `the orchestrator did not answer (${error instanceof Error ? error.message : String(error)})`,
    };
  }
}

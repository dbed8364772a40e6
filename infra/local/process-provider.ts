/** The code behind LocalProcess; run in the engine's provider process (see infra/dynamic.ts). It keeps nothing: the state folder does. */
import type { dynamic } from "@pulumi/pulumi";
import {
  checkFailures,
  endWithParent,
  hasUnknown,
  madeInPart,
  plainErrors,
  stripUndefined,
} from "../dynamic.js";
import { InfraError } from "../problem.js";
import { ensureSupervisor } from "./client.js";
import { findProject, stateFolder } from "./package-folder.js";
import { specHash } from "./plan.js";
import type { ServiceSpec, ServiceStatus } from "./service.js";
import { serviceSpecProblems } from "./service-schema.js";
import { endService, statusOf } from "./stack.js";

endWithParent();

interface ProcessProps {
  readonly state: string;
  readonly spec: ServiceSpec;
  readonly __provider?: string;
}

interface ProcessOutputs extends ProcessProps {
  readonly name: string;
  readonly node: string;
  readonly ports: Readonly<Record<string, number>>;
}

export const provider = plainErrors<dynamic.ResourceProvider<ProcessProps, ProcessOutputs>>({
  async check(_olds, news) {
    // Parts not known at preview cannot be judged; `create` and `update` come through here again with all of it.
    const problems = hasUnknown(news) ? [] : serviceSpecProblems(news.spec);
    return { inputs: news, failures: checkFailures(problems, "spec") };
  },

  async diff(_id, olds, news) {
    return { changes: !isAsWanted(olds, news) };
  },

  async create(props) {
    return { id: props.spec.name, outs: await put(props) };
  },

  async update(_id, olds, news) {
    if (olds.state !== news.state || olds.spec.name !== news.spec.name) await remove(olds);
    return { outs: await put(news) };
  },

  async read(id, props) {
    if (props === undefined) return { id, props: {} as ProcessOutputs };
    const status = statusIn(props);
    // Only what no record names is gone; a service that is down is still ours, and diff() tells of it.
    if (status === undefined) return { id: "" };
    return { id, props: outputs(props, status) };
  },

  async delete(_id, props) {
    await remove(props);
  },
});

function isAsWanted(olds: ProcessProps, news: ProcessProps): boolean {
  if (hasUnknown(news) || olds.state !== news.state) return false;
  const folder = stateFolder(news);
  const { supervisor, services } = statusOf(folder);
  const status = services.find((service) => service.name === news.spec.name);
  return supervisor && status?.state === "ready" && status.specHash === specHash(news.spec);
}

async function put(props: ProcessProps): Promise<ProcessOutputs> {
  try {
    return outputs(props, await putOnce(props));
  } catch (error) {
    throw registered(props, error);
  }
}

/** A supervisor may be ending just now, its last service having been removed: then the next one is asked, once. */
async function putOnce(props: ProcessProps): Promise<ServiceStatus> {
  const folder = stateFolder(props);
  const project = findProject();
  try {
    return await (await ensureSupervisor(folder, project)).put(props.spec);
  } catch (error) {
    if (!(error instanceof InfraError) || error.code !== "LOC-SUPERVISOR-DOWN") throw error;
    return await (await ensureSupervisor(folder, project)).put(props.spec);
  }
}

/** A service that is registered but not ready stays a resource, in part. */
function registered(props: ProcessProps, error: unknown): unknown {
  const status = statusIn(props);
  const reason = error instanceof Error ? error.message : String(error);
  return status === undefined ? error : madeInPart(props.spec.name, outputs(props, status), [reason], props);
}

async function remove(props: ProcessProps): Promise<void> {
  await endService(stateFolder(props), props.spec.name);
}

function outputs(props: ProcessProps, status: ServiceStatus): ProcessOutputs {
  const { state, spec } = props;
  return stripUndefined({ state, spec, name: status.name, node: status.node, ports: status.ports });
}

function statusIn(props: ProcessProps): ServiceStatus | undefined {
  return statusOf(stateFolder(props)).services.find((service) => service.name === props.spec.name);
}

import type { ServiceSpec } from "../../infra/local/service.js";
import type { Resources } from "./objects.js";

/** What a container is given, and what it keeps. */
interface Needs {
  readonly resources: Resources;
  /** Size of its volume. Absent: what it writes may go with its pod. */
  readonly storage?: string;
}

const needs = (
  cpu: string,
  memory: string,
  mostCpu: string,
  mostMemory: string,
  storage?: string,
): Needs => ({
  resources: { requests: { cpu, memory }, limits: { cpu: mostCpu, memory: mostMemory } },
  ...(storage === undefined ? {} : { storage }),
});

const TABLE: Readonly<Record<string, Needs>> = {
  broker: needs("250m", "256Mi", "2", "1Gi", "10Gi"),
  // Twice the quota of its data, for its log of changes and snapshots.
  store: needs("100m", "128Mi", "2", "2Gi", "16Gi"),
  // The audit.
  enforcer: needs("100m", "96Mi", "2", "320Mi", "5Gi"),
  // The keys by which its jobs verify grants: they read them there.
  agent: needs("50m", "96Mi", "1", "384Mi", "1Gi"),
  microservice: needs("100m", "96Mi", "2", "1Gi"),
};
const OTHERS = needs("50m", "96Mi", "1", "384Mi");

export const needsOf = (image: string): Needs => TABLE[image] ?? OTHERS;

/**
 * The name of the image that runs a service: `broker`, `store`, or the room below `policy/` that its program is in.
 *
 * @throws RangeError for a command that no image has
 */
export function imageName({ name, command }: Pick<ServiceSpec, "name" | "command">): string {
  if (command[0] === "{{tool:rabbitmq-server}}") return "broker";
  if (command[0] === "{{tool:etcd}}") return "store";
  const room = /^\{\{package\}\}\/dist\/policy\/([a-z-]+)\/main\.js$/.exec(command[1] ?? "")?.[1];
  if (room === undefined) throw new RangeError(`no image runs ${name}`);
  return room;
}

/** Whether an image is one of ours, whose entry point is the service. */
export const isOurs = (image: string): boolean => image !== "broker" && image !== "store";

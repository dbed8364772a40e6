import { contentHash } from "../content-hash.js";
import { InfraError } from "../problem.js";
import type { ServiceSpec } from "./service.js";
import { portsGiven } from "./template.js";

/** Hash of a specification, the same for any order of its keys. */
export const specHash = (spec: ServiceSpec): string => contentHash(spec);

type Needing = Pick<ServiceSpec, "name" | "needs">;

/**
 * The services' names so that each stands after all that it needs; among equals by name. Needs that are not among the services are passed
 * over: they are reported when the service starts. Throws LOC-CYCLE, naming the way around.
 */
export function startOrder(services: readonly Needing[]): string[] {
  const byName = new Map(services.map((service) => [service.name, service]));
  const order: string[] = [];
  const done = new Set<string>();
  const visit = (service: Needing, path: readonly string[]): void => {
    if (done.has(service.name)) return;
    if (path.includes(service.name)) {
      const way = [...path.slice(path.indexOf(service.name)), service.name].join(" -> ");
      throw new InfraError({
        code: "LOC-CYCLE",
        path: `${service.name}.needs`,
        message: `services need each other in a circle: ${way}`,
        remedy: "remove one of these needs",
      });
    }
    for (const need of [...(service.needs ?? [])].sort()) {
      const needed = byName.get(need);
      if (needed !== undefined) visit(needed, [...path, service.name]);
    }
    done.add(service.name);
    order.push(service.name);
  };
  for (const service of [...services].sort((a, b) => (a.name < b.name ? -1 : 1))) visit(service, []);
  return order;
}

/** Ports in use, by service and port name. */
export type PortTable = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** What a running service was started with. */
export interface Started {
  readonly name: string;
  readonly specHash: string;
  /** The other services' ports that it was given: `service/port` to number. */
  readonly given: Readonly<Record<string, number>>;
}

/** The ports to give to a service now: `service/port` to number. A port that nobody has is left out. */
export function givenPorts(
  spec: Pick<ServiceSpec, "command" | "env" | "files">,
  ports: PortTable,
): Record<string, number> {
  const given: Record<string, number> = {};
  for (const reference of portsGiven(spec)) {
    const [service = "", name = ""] = reference.split("/");
    const port = new Map(Object.entries(ports.get(service) ?? {})).get(name);
    if (port !== undefined) given[reference] = port;
  }
  return given;
}

/**
 * Which of the running services must be started again: those whose specification is another now, and those that were given a port which has
 * changed. A needed service that merely restarted on the same ports restarts nobody. Services without a specification are to be ended, not
 * restarted, and so are left out.
 */
export function mustRestart(
  running: readonly Started[],
  specs: readonly ServiceSpec[],
  ports: PortTable,
): string[] {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return running
    .filter((started) => {
      const spec = byName.get(started.name);
      if (spec === undefined) return false;
      if (specHash(spec) !== started.specHash) return true;
      return Object.entries(givenPorts(spec, ports)).some(
        ([reference, port]) => started.given[reference] !== port,
      );
    })
    .map((started) => started.name);
}

import { type Rendered, renderSpec } from "../../infra/local/launch.js";
import type { ServiceSpec } from "../../infra/local/service.js";
import type { TemplateValues } from "../../infra/local/template.js";
import { label } from "./names.js";
import type { Images } from "./options.js";

/** Where a service runs on a cluster. */
export interface Place {
  readonly namespace: string;
  /** The cluster's node. */
  readonly host: string;
  /** What a service is: Services select by it, so that an agent's never finds the pods of its jobs. */
  readonly type: "core" | "agent";
  /** Of which marketplace: the prefix of its namespaces. */
  readonly marketplace: string;
  readonly images: Images;
  readonly storageClass?: string | undefined;
  /** Of a party: the node's folder with its data, where it is not one of ours. */
  readonly dataFolder?: string | undefined;
  /** The namespace of each service that others name. */
  readonly services: Readonly<Record<string, string>>;
}

/** Folders in a container. */
export const FOLDER = "/var/lib/dynamos";
export const FILES = "/etc/dynamos/files";
export const SECRETS = "/etc/dynamos/secrets";

/** The port of each name: a pod has an address of its own, so these are never taken. */
const PORTS: Readonly<Record<string, number>> = {
  http: 8080,
  amqp: 5672,
  management: 15672,
  distribution: 25672,
  epmd: 4369,
  client: 2379,
  peer: 2380,
};
const OTHER_PORT = 9000;

/** The number of a port in its pod. */
export const portOf = (name: string): number => PORTS[name] ?? OTHER_PORT;

/** The name by which a service is found from every namespace. */
export const hostOf = (service: string, place: Pick<Place, "services">): string =>
  `${label(service)}.${place.services[service] ?? service}.svc`;

/** A service's texts as its pod has them. Secrets stay references: who applies the plan fills them in. */
export function renderFor(spec: ServiceSpec, place: Place): Rendered {
  const values: TemplateValues = {
    folder: FOLDER,
    package: "/app",
    project: "/project",
    node: "node",
    listen: "0.0.0.0",
    host: (service) => hostOf(service, place),
    port: (_service, name) => portOf(name),
    tool: (name) => name,
    secretFile: (name) => `${SECRETS}/${name}`,
    secret: (name) => `{{secret:${name}}}`,
    rabbitmqHash: (name) => `{{rabbitmqHash:${name}}}`,
  };
  const rendered = renderSpec(spec, values);
  // Files lie apart from the folder that the service writes to.
  const names = new Map(rendered.files.map(({ path }) => [`${FOLDER}/${path}`, `${FILES}/${path}`]));
  const moved = (text: string): string => names.get(text) ?? text;
  return {
    command: rendered.command.map(moved),
    env: Object.fromEntries(Object.entries(rendered.env).map(([name, text]) => [name, moved(text)])),
    files: rendered.files,
  };
}

/** The secrets that a service reads from files. */
export function secretFilesOf(spec: Pick<ServiceSpec, "env" | "command">): string[] {
  const texts = [...Object.values(spec.env ?? {}), ...spec.command];
  const names = texts.flatMap((text) =>
    [...text.matchAll(/\{\{secretFile:([^{}]+)\}\}/g)].map(([, name = ""]) => name),
  );
  return [...new Set(names)].sort();
}

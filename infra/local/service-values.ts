import { InfraError } from "../problem.js";
import { rabbitmqPasswordHash } from "./rabbitmq-hash.js";
import type { ServiceRecord, StateFolder } from "./state-folder.js";
import type { TemplateValues } from "./template.js";

/** Where all services of this machine listen and are found. */
const LOOPBACK = "127.0.0.1";

/** What placeholders may stand for on this machine, apart from the service itself. */
export interface ValueSources {
  readonly state: StateFolder;
  /** The folder of this package, and of Pulumi.yaml. */
  readonly package: string;
  readonly project: string;
  /** Path of an outside program; undefined when this machine has none. */
  tool(name: string): string | undefined;
}

/**
 * The values of a service's placeholders. They throw LOC-TEMPLATE for a port that nobody has and LOC-TOOL-MISSING for a program.
 *
 * @param given the other services' ports that it gets: `service/port` to number
 */
export function serviceValues(
  { spec, ports }: ServiceRecord,
  given: Readonly<Record<string, number>>,
  { state, package: packageFolder, project, tool }: ValueSources,
): TemplateValues {
  return {
    folder: state.serviceFolder(spec),
    package: packageFolder,
    project,
    node: process.execPath,
    listen: LOOPBACK,
    host: () => LOOPBACK,
    port: (service, name) => {
      const port = service === undefined ? ports[name] : given[`${service}/${name}`];
      if (port !== undefined) return port;
      const owner = service ?? spec.name;
      throw new InfraError({
        code: "LOC-TEMPLATE",
        path: spec.name,
        message: `${owner} has no port named "${name}"`,
        remedy: `add it to the ports of ${owner}`,
      });
    },
    tool: (name) => {
      const path = tool(name);
      if (path !== undefined) return path;
      throw new InfraError({
        code: "LOC-TOOL-MISSING",
        path: spec.name,
        message: `the program ${name} is not on this machine`,
        remedy: "run `npm run up`, which fetches it, or put it on PATH",
      });
    },
    secretFile: (name) => state.ensureSecret(name),
    secret: (name) => state.secret(name),
    rabbitmqHash: (name) => rabbitmqPasswordHash(state.secret(name)),
  };
}

import { InfraError } from "../problem.js";
import { freePort, holderOfPort, isPortFree } from "./ports.js";
import type { ServiceRecord } from "./state-folder.js";

/** Gives ports to services, one service at a time, so that no two get the same. */
export class PortBook {
  readonly #records: () => Iterable<ServiceRecord>;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(records: () => Iterable<ServiceRecord>) {
    this.#records = records;
  }

  /**
   * A service's ports: fixed ones as specified (LOC-PORT-IN-USE when somebody listens there), free ones as remembered, or others where
   * somebody has taken those. `keep` records them before the next service is served.
   */
  allocate(record: ServiceRecord, keep: (ports: Record<string, number>) => void): Promise<void> {
    const result = this.#queue.then(async () => keep(await this.#choose(record)));
    this.#queue = result.catch(() => undefined); // the asker hears of it, not the next one
    return result;
  }

  async #choose({ spec, ports }: ServiceRecord): Promise<Record<string, number>> {
    const others = [...this.#records()].filter((other) => other.spec.name !== spec.name);
    const taken = new Set(
      others.flatMap((other) => [...Object.values(other.ports), ...Object.values(other.spec.ports ?? {})]),
    );
    const chosen: Record<string, number> = {};
    for (const [name, fixed] of Object.entries(spec.ports ?? {})) {
      if (fixed !== 0) {
        if (!(await isPortFree(fixed))) throw inUse(spec.name, name, fixed, others);
        chosen[name] = fixed;
      } else {
        const remembered = ports[name];
        const usable = remembered !== undefined && !taken.has(remembered) && (await isPortFree(remembered));
        chosen[name] = usable ? remembered : await freePort(taken);
      }
      taken.add(chosen[name]);
    }
    return chosen;
  }
}

function inUse(service: string, name: string, port: number, others: readonly ServiceRecord[]): InfraError {
  const neighbour = others.find(
    (other) => Object.values(other.ports).includes(port) && other.run !== undefined,
  );
  const holder =
    neighbour === undefined
      ? (holderOfPort(port) ?? "another program")
      : `${neighbour.spec.name}, a service of this stack`;
  return new InfraError({
    code: "LOC-PORT-IN-USE",
    path: `${service}.ports.${name}`,
    message: `port ${port} on 127.0.0.1 is in use by ${holder}`,
    remedy: "end that program, choose another port, or say 0 for any free one",
  });
}

import type { ServiceStatus } from "./service.js";
import type { ServiceRecord, StateFolder } from "./state-folder.js";

/** A record as others see it. */
export function statusFrom(record: ServiceRecord, state: StateFolder): ServiceStatus {
  const { spec, run, problem, restarts, ports, specHash } = record;
  return {
    name: spec.name,
    node: spec.node,
    state: record.state,
    ...(run === undefined || record.state === "stopped" ? {} : { pid: run.pid, since: run.since }),
    restarts,
    ports,
    folder: state.serviceFolder(spec),
    log: state.log(spec.name),
    specHash,
    ...(problem === undefined ? {} : { problem }),
  };
}

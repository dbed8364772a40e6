import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../problem.js";
import { claimFolder } from "./claim.js";
import { connect, realFolder } from "./client.js";
import { endProcesses, isAlive } from "./os-process.js";
import { packageFolder } from "./package-folder.js";
import type { ServiceStatus } from "./service.js";
import { statusFrom } from "./service-status.js";
import { StateFolder } from "./state-folder.js";
import { Supervisor } from "./supervisor.js";

/** What runs of a stack on this machine. */
export interface StackStatus {
  /** Whether the supervisor's process runs. */
  readonly supervisor: boolean;
  /** In the order in which they were registered. A service whose process is gone is `stopped` when no supervisor is there to start it. */
  readonly services: readonly ServiceStatus[];
}

/** Where a service listens now; `undefined` while it is not ready, and for a port that it does not have. */
export function readyPort(stateDir: string, service: string, port: string): number | undefined {
  const found = statusOf(stateDir).services.find(({ name }) => name === service);
  return found?.state === "ready" ? found.ports[port] : undefined;
}

/** The state of a stack as its folder and the system's processes tell, with or without a supervisor. Changes nothing, waits for nothing. */
export function statusOf(stateDir: string): StackStatus {
  const state = new StateFolder(realFolder(stateDir));
  const record = state.supervisor();
  const supervisor = record !== undefined && isAlive(record);
  const services = [...state.services().values()].map((service) => {
    const runs = service.run !== undefined && isAlive(service.run);
    if (runs || service.state === "failed") return statusFrom(service, state);
    const { run: _dead, ...rest } = service;
    const now = service.state === "stopped" || !supervisor ? "stopped" : "starting";
    return statusFrom({ ...rest, state: now }, state);
  });
  return { supervisor, services };
}

/**
 * Ends all processes of a stack, its supervisor included, and removes all that the supervisor keeps in the state folder, the logs apart.
 * Works without a supervisor and without Pulumi's state; fine when nothing runs.
 *
 * @param options.forget `false` keeps registrations, data and secrets: the next supervisor starts the services again. Default true.
 * @throws InfraError LOC-STOP-FAILED, naming the processes, when some remain
 */
export async function shutdownStack(
  stateDir: string,
  options: { readonly forget?: boolean } = {},
): Promise<void> {
  if (!existsSync(stateDir)) return;
  const state = new StateFolder(realFolder(stateDir));
  const forget = options.forget ?? true;
  await withClaim(
    state,
    () => shutdownSupervisor(state, forget),
    (supervisor) => supervisor.shutdown({ forget }),
  );
}

/** Ends one service and removes its folder, with or without a supervisor. Fine when there is no such service. */
export async function endService(stateDir: string, name: string): Promise<void> {
  if (!existsSync(stateDir)) return;
  const state = new StateFolder(realFolder(stateDir));
  await withClaim(
    state,
    async () => {
      const client = connect(state.path);
      await client?.remove(name);
      return client !== undefined;
    },
    async (supervisor) => {
      await supervisor.remove(name);
      if (supervisor.isEmpty) await supervisor.shutdown({ forget: true });
    },
  );
}

/**
 * Does something to a stack's processes as their supervisor would, while none runs.
 *
 * @param ask the supervisor that runs, if one does; `true` when that was all
 */
async function withClaim(
  state: StateFolder,
  ask: () => Promise<boolean>,
  work: (supervisor: Supervisor) => Promise<void>,
): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    if (await ask()) return;
    // The claim keeps a supervisor that somebody starts now from running what we end.
    const claim = claimFolder(state.lock);
    if (claim !== undefined) {
      try {
        await work(standIn(state));
        return state.forgetSupervisor();
      } finally {
        claim.release();
      }
    }
    if (performance.now() > deadline) {
      throw new InfraError({
        code: "LOC-SUPERVISOR-DOWN",
        file: state.lock,
        message: "another process holds this stack's lock but does not answer",
        remedy: "wait until it has ended, or end it",
      });
    }
    await sleep(20 + Math.random() * 100);
  }
}

/** Has the supervisor do it; one that runs but does not answer is ended, since its work can be done without it. Always false: we look again. */
async function shutdownSupervisor(state: StateFolder, forget: boolean): Promise<boolean> {
  const record = state.supervisor();
  if (record === undefined || !isAlive(record)) return false;
  try {
    await connect(state.path)?.shutdown({ forget });
  } catch (error) {
    if (!(error instanceof InfraError) || error.code !== "LOC-SUPERVISOR-DOWN") throw error;
  }
  const deadline = performance.now() + 2000;
  while (isAlive(record) && performance.now() < deadline) await sleep(20);
  await endProcesses({ leader: record, marked: () => false }, 0);
  return false;
}

/** A supervisor inside this process, which ends and removes but starts nothing. */
function standIn(state: StateFolder): Supervisor {
  return new Supervisor({
    state: readable(state),
    package: packageFolder(),
    project: state.path,
    tool: () => undefined,
    log: () => undefined,
  });
}

/** A damaged services.json must not keep processes from being ended: they bear the stack's mark as well. */
function readable(state: StateFolder): StateFolder {
  try {
    state.services();
  } catch (error) {
    if (!(error instanceof InfraError)) throw error;
    state.forgetRecords();
  }
  return state;
}

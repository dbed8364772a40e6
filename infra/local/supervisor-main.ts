/**
 * The supervisor's process: `node supervisor-main.js <state folder> <project folder>`.
 *
 * It outlives the program that started it, on purpose, and ends when its stack's last service is removed, on SIGTERM (services end too, and
 * start again with the next supervisor), or when its state folder is taken away.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../problem.js";
import { cacheUnits, locate, type ToolName } from "../toolchain/locate.js";
import { type Claim, claimFolder } from "./claim.js";
import { connect } from "./client.js";
import { identityOf } from "./os-process.js";
import { packageFolder } from "./package-folder.js";
import { StateFolder } from "./state-folder.js";
import { Supervisor } from "./supervisor.js";
import { supervisorApi } from "./supervisor-api.js";

/** Seconds until a supervisor without services ends: after the last one was removed, and when none ever came. */
const emptySeconds = { after: 2, before: 30 } as const;

async function main(stateDir: string, projectDir: string): Promise<void> {
  const state = new StateFolder(stateDir);
  state.prepare();
  const claim = await claimOrYield(state);
  if (claim === undefined) return;

  let server: ReturnType<typeof supervisorApi> | undefined;
  let emptyTimer: NodeJS.Timeout | undefined;
  let ending = false;
  const endWhenEmpty = (seconds: number) => {
    clearTimeout(emptyTimer);
    emptyTimer = setTimeout(() => {
      if (supervisor.isEmpty && !ending) endByItself(true);
    }, seconds * 1000);
  };
  const supervisor = new Supervisor({
    state,
    package: packageFolder(),
    project: projectDir,
    tool: (name) => (isToolName(name) ? locate(name) : undefined),
    log,
    onEmpty: () => endWhenEmpty(emptySeconds.after),
  });

  const end = async (forget: boolean) => {
    ending = true;
    log(forget ? "ending, nothing is kept" : "ending, services start again with the next supervisor");
    await supervisor.shutdown({ forget });
    // First nobody finds us any more, then we let go of the folder.
    state.forgetSupervisor();
    setImmediate(async () => {
      await server?.close();
      claim.release();
      log("ended");
      process.exit(0);
    });
  };

  // Nobody waits for an answer here: what cannot be ended is told in the log, and `down` tries again without us.
  const endByItself = (forget: boolean) => {
    end(forget).catch((error: unknown) => {
      log(error instanceof Error ? error.message : String(error));
      process.exit(1);
    });
  };

  const identity = identityOf(process.pid);
  if (identity === undefined) throw new Error("this process is not in its own process table");
  const token = randomBytes(32).toString("base64url");
  server = supervisorApi(supervisor, token, end);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const address = server.server.address();
  if (address === null || typeof address === "string") throw new Error("no port to listen on");

  const recovery = supervisor.recover();
  state.saveSupervisor({ ...identity, port: address.port, token });
  log(`supervisor of ${stateDir} listens on 127.0.0.1:${address.port}, pid ${process.pid}`);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ending || endByItself(false));
  process.on("SIGHUP", () => undefined);
  setInterval(() => {
    if (state.exists() || ending) return;
    log("the state folder is gone");
    endByItself(false);
  }, 1000);
  await recovery;
  if (supervisor.isEmpty) endWhenEmpty(emptySeconds.before);
}

/** The claim on the folder; undefined when another supervisor of this stack answers. */
async function claimOrYield(state: StateFolder): Promise<Claim | undefined> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const claim = claimFolder(state.lock);
    if (claim !== undefined) return claim;
    if (connect(state.path) !== undefined) return undefined;
    if (performance.now() > deadline) {
      throw new InfraError({
        code: "LOC-SUPERVISOR-DOWN",
        file: state.lock,
        message: "another process holds this stack's lock but does not answer",
        remedy: "wait until it has ended, or end it",
      });
    }
    // Random, so that two that asked at once do not meet again and again.
    await sleep(20 + Math.random() * 100);
  }
}

function isToolName(name: string): name is ToolName {
  return Object.hasOwn(cacheUnits, name);
}

function log(text: string): void {
  process.stdout.write(`${new Date().toISOString()}  ${text}\n`);
}

const [stateDir, projectDir] = process.argv.slice(2);
if (stateDir === undefined || projectDir === undefined) {
  process.stderr.write("usage: supervisor-main.js <state folder> <project folder>\n");
  process.exitCode = 2;
} else {
  main(stateDir, projectDir).catch((error: unknown) => {
    log(error instanceof InfraError ? error.message : String(error instanceof Error ? error.stack : error));
    process.exitCode = 1;
    // Timers and the server would keep a supervisor alive that cannot do its work.
    process.exit();
  });
}

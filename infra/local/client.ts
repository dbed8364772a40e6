import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, realpathSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../problem.js";
import { inheritedEnvironment, lastLines } from "./launch.js";
import { isAlive } from "./os-process.js";
import { packageFolder } from "./package-folder.js";
import type { ServiceSpec, ServiceStatus } from "./service.js";
import { StateFolder, type SupervisorRecord } from "./state-folder.js";
import type { ProblemAnswer } from "./supervisor-api.js";

/** Seconds that a supervisor may take to answer after it was started. */
const startSeconds = 20;
/** Seconds for calls that only read. */
const readSeconds = 10;
/** Seconds for the question whether it is there at all, before a call that waits. */
const hangSeconds = 5;
/** Seconds for calls that wait for services: longer than any start or stop that specifications ask for in practice. */
const workSeconds = 900;

/** Calls to a stack's supervisor. All throw InfraError: LOC-SUPERVISOR-DOWN when it does not answer, else what it answered. */
export class SupervisorClient {
  readonly #record: SupervisorRecord;

  constructor(record: SupervisorRecord) {
    this.#record = record;
  }

  /** Registers a service and waits until it is ready. */
  put(spec: ServiceSpec): Promise<ServiceStatus> {
    return this.#call("PUT", `/services/${encodeURIComponent(spec.name)}`, {
      body: spec,
    }) as Promise<ServiceStatus>;
  }

  get(name: string): Promise<ServiceStatus> {
    return this.#call("GET", `/services/${encodeURIComponent(name)}`, {
      seconds: readSeconds,
    }) as Promise<ServiceStatus>;
  }

  list(): Promise<readonly ServiceStatus[]> {
    return this.#call("GET", "/services", { seconds: readSeconds }) as Promise<readonly ServiceStatus[]>;
  }

  /** Ends a service and removes its folder. Fine when it is gone already. */
  async remove(name: string): Promise<void> {
    await this.#call("DELETE", `/services/${encodeURIComponent(name)}`);
  }

  stop(name: string): Promise<ServiceStatus> {
    return this.#call("POST", `/services/${encodeURIComponent(name)}/stop`) as Promise<ServiceStatus>;
  }

  start(name: string): Promise<ServiceStatus> {
    return this.#call("POST", `/services/${encodeURIComponent(name)}/start`) as Promise<ServiceStatus>;
  }

  /** Ends exactly the services of a node. */
  stopNode(node: string): Promise<readonly ServiceStatus[]> {
    return this.#call("POST", `/nodes/${encodeURIComponent(node)}/stop`) as Promise<readonly ServiceStatus[]>;
  }

  startNode(node: string): Promise<readonly ServiceStatus[]> {
    return this.#call("POST", `/nodes/${encodeURIComponent(node)}/start`) as Promise<
      readonly ServiceStatus[]
    >;
  }

  /**
   * Ends all processes of the stack and the supervisor. With `forget` also all that the supervisor keeps, logs apart; without it the
   * services start again with the next supervisor.
   */
  async shutdown({ forget = false }: { readonly forget?: boolean } = {}): Promise<void> {
    await this.#call("POST", `/shutdown?forget=${forget}`);
  }

  async #call(
    method: string,
    path: string,
    options: { readonly body?: unknown; readonly seconds?: number } = {},
  ): Promise<unknown> {
    const { port, token, pid } = this.#record;
    const payload = options.body === undefined ? undefined : JSON.stringify(options.body);
    const seconds = options.seconds ?? workSeconds;
    // A supervisor that hangs is found out soon, not after the long time that services may take.
    if (seconds > readSeconds) await this.#call("GET", "/", { seconds: hangSeconds });
    return await new Promise((done, failed) => {
      const down = (cause: Error) => {
        const why =
          cause.name === "AbortError" || cause.name === "TimeoutError"
            ? `no answer within ${seconds} s`
            : cause.message;
        failed(supervisorDown(`the stack's supervisor (pid ${pid}) does not answer: ${why}`, cause));
      };
      const outgoing = request(
        {
          host: "127.0.0.1",
          port,
          method,
          path,
          // A connection of its own for each call: none that the supervisor may just have closed.
          agent: false,
          signal: AbortSignal.timeout(seconds * 1000),
          headers: {
            authorization: `Bearer ${token}`,
            ...(payload === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.once("error", down);
          response.once("end", () => {
            try {
              const text = Buffer.concat(chunks).toString("utf8");
              const value: unknown = text === "" ? undefined : JSON.parse(text);
              if ((response.statusCode ?? 500) < 300) return done(value);
              failed(new InfraError((value as ProblemAnswer).problems));
            } catch (error) {
              down(error as Error);
            }
          });
        },
      );
      outgoing.once("error", down);
      outgoing.end(payload);
    });
  }
}

/** The supervisor of a state folder; undefined when none runs. */
export function connect(stateDir: string): SupervisorClient | undefined {
  const record = new StateFolder(realFolder(stateDir)).supervisor();
  return record === undefined || !isAlive(record) ? undefined : new SupervisorClient(record);
}

/**
 * The supervisor of a state folder, started if none runs. Several callers at once get the same one.
 *
 * @param projectDir the folder of Pulumi.yaml, `{{project}}` in specifications
 * @throws InfraError LOC-SUPERVISOR-DOWN with its last words when it does not come up
 */
export async function ensureSupervisor(stateDir: string, projectDir: string): Promise<SupervisorClient> {
  new StateFolder(stateDir).prepare();
  const folder = realFolder(stateDir);
  const state = new StateFolder(folder);
  const deadline = performance.now() + startSeconds * 1000;
  const log = openSync(state.supervisorLog, "a", 0o600);
  try {
    let starting: ReturnType<typeof startSupervisor> | undefined;
    for (;;) {
      const client = connect(folder);
      if (client !== undefined) return client;
      // One that ended has found another in its place, or failed; another is tried as long as there is time.
      if (starting === undefined || starting.exitCode !== null)
        starting = startSupervisor(folder, realFolder(projectDir), log);
      await sleep(25);
      if (performance.now() < deadline) continue;
      const words = lastLines(state.supervisorLog, 0, 5).map((line) => `\n    ${line}`);
      throw supervisorDown(
        `the stack's supervisor did not start within ${startSeconds} s; ${state.supervisorLog} ends with:${words.join("")}`,
      );
    }
  } finally {
    closeSync(log);
  }
}

function startSupervisor(stateDir: string, projectDir: string, log: number) {
  const script = join(packageFolder(), "dist", "infra", "local", "supervisor-main.js");
  if (!existsSync(script))
    throw supervisorDown(`${script} is missing`, undefined, "build the package: npm run build");
  const child = spawn(process.execPath, [script, stateDir, projectDir], {
    cwd: stateDir,
    detached: true,
    stdio: ["ignore", log, log],
    env: inheritedEnvironment(process.env),
  });
  child.once("error", () => undefined); // seen as no supervisor at the deadline
  child.unref();
  return child;
}

/** One name for one folder, whatever links lead to it: marks and locks depend on it. */
export function realFolder(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

function supervisorDown(
  message: string,
  cause?: Error,
  remedy = "run `up`, which starts it again, or `down`",
): InfraError {
  return new InfraError(
    { code: "LOC-SUPERVISOR-DOWN", message, remedy },
    cause === undefined ? {} : { cause },
  );
}

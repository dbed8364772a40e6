import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { DataAccess } from "../contract/data-access.js";
import { CodedError } from "../contract/problem.js";
import type { Logger } from "../platform/log.js";
import type { ChannelMessage } from "../sidecar/parent.js";
import { resolveEntry } from "./entry.js";
import { grantData } from "./granted-data.js";
import { type LeftOver, removeLeftOvers, startTicks } from "./left-overs.js";
import type { JobRunner, JobService, Running } from "./runner.js";

export interface ProcessRunnerOptions {
  /** The party. */
  readonly agent: string;
  /** Microservices' programs lie below it. */
  readonly experimentFolder: string;
  /** The party's own. Microservices get a folder of what they may read of it. */
  readonly dataFolder: string;
  /** File of the enforcers' public keys, by which microservices verify grants. */
  readonly grantKeysFile: string;
  /** Each microservice gets a working folder below it, removed with its job. */
  readonly workFolder: string;
  /** Passed on to microservices: `AMQP_HOST`, `AMQP_PORT`, `AMQP_USER`, `AMQP_PASSWORD_FILE`. */
  readonly amqp: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Takes what a microservice answers by the channel. Absent: messages go by the queues. */
  readonly onAnswer?: (correlationId: string, body: Uint8Array) => void;
  /** Between SIGTERM and SIGKILL. Default 2 s. */
  readonly graceMs?: number;
}

interface Child extends Running {
  readonly process: ChildProcess;
}

/** What a job's microservices may read of the party's files. No microservice bears such a name. */
const DATA = ".data";
const GRACE_MS = 2_000;
/** How long a dead child's last words are waited for. */
const LAST_WORDS_MS = 200;
const LONGEST_LINE = 4_000;

/**
 * Microservices as child processes of the agent, in its own process group, so that who ends the agent's group ends them too.
 * A channel ties each to the agent: it ends itself when the agent is gone.
 */
export class ProcessRunner implements JobRunner {
  readonly #options: ProcessRunnerOptions;
  readonly #jobs = new Map<string, Map<string, Child>>();
  readonly #data = new Map<string, { readonly access: string; readonly told: Promise<DataAccess> }>();

  /** Ends and removes what an agent before this one left in the working folder. */
  constructor(options: ProcessRunnerOptions) {
    this.#options = options;
    mkdirSync(options.workFolder, { recursive: true, mode: 0o700 });
    removeLeftOvers(options.workFolder, options.log);
  }

  async ensure(service: JobService): Promise<Running> {
    const children = this.#jobs.get(service.job) ?? new Map<string, Child>();
    const known = children.get(service.service);
    if (known !== undefined) return known;
    const file = resolveEntry(this.#options.experimentFolder, service.entry);
    const child = this.#start(service, file);
    this.#jobs.set(service.job, children.set(service.service, child));
    return child;
  }

  readonly provide = (job: string, access: DataAccess): Promise<DataAccess> => {
    const known = this.#data.get(job);
    const text = JSON.stringify(access);
    if (known?.access === text) return known.told;
    const { dataFolder, workFolder } = this.#options;
    const before = known?.told.catch(() => {}) ?? Promise.resolve();
    const told = before.then(() => grantData(dataFolder, join(workFolder, job, DATA), access));
    const given = { access: text, told };
    this.#data.set(job, given);
    // The next round tries again.
    told.catch(() => this.#data.get(job) === given && this.#data.delete(job));
    return told;
  };

  async stop(job: string): Promise<void> {
    const children = [...(this.#jobs.get(job)?.values() ?? [])];
    await Promise.all(children.map((child) => this.#end(child)));
    this.#jobs.delete(job);
    await this.#data.get(job)?.told.catch(() => {}); // what is being written would come after its removal
    this.#data.delete(job);
    rmSync(join(this.#options.workFolder, job), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    const jobs = new Set([...this.#jobs.keys(), ...this.#data.keys()]);
    await Promise.all(Array.from(jobs, (job) => this.stop(job)));
  }

  #start(service: JobService, file: string): Child {
    const folder = join(this.#options.workFolder, service.job, service.service);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const child = spawn(process.execPath, programOf(file), {
      cwd: folder,
      env: this.#environment(service, folder),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // Bytes as bytes, not as JSON.
      serialization: "advanced",
    });
    const log = this.#options.log.child({ job: service.job, microservice: service.service });
    let lastWords = "";
    lines(child.stdout, (line) => log.info(line));
    lines(child.stderr, (line) => {
      log.warn(line);
      // What Node writes after an error's own line is its stack.
      if (/^\w*Error\b/.test(line) || lastWords === "") lastWords = line.slice(0, 300);
    });
    if (child.pid !== undefined) {
      const left: LeftOver = { pid: child.pid, start: startTicks(child.pid) };
      writeFileSync(`${folder}.pid`, JSON.stringify(left));
      log.info({ pid: child.pid }, "microservice started");
    }
    const ended = endOf(child).then((how) => {
      log.info({ how }, "microservice ended");
      const words = lastWords === "" ? "" : `: ${lastWords}`;
      return {
        code: "JOB-DIED",
        path: `microservices/${service.service}`,
        message: `microservice ${service.service} of ${this.#options.agent} ${how}${words}`,
        remedy: "look at the agent's log; its state is lost, so start the job anew",
      };
    });
    return { process: child, folder, ended, ...this.#channel(child) };
  }

  #channel(child: ChildProcess): Pick<Running, "send"> {
    const { onAnswer } = this.#options;
    if (onAnswer === undefined) return {};
    child.on("message", ({ correlationId, body }: ChannelMessage) => onAnswer(correlationId, body));
    const send = (correlationId: string, body: Uint8Array): Promise<void> =>
      new Promise((done, failed) =>
        child.send({ correlationId, body } satisfies ChannelMessage, (error) =>
          error === null ? done() : failed(error),
        ),
      );
    return { send };
  }

  /** Only what a microservice needs: nothing of the agent's own environment but the search path. */
  #environment({ job, service, queue, roundMs }: JobService, folder: string): NodeJS.ProcessEnv {
    const { agent, workFolder, grantKeysFile, amqp, log } = this.#options;
    return {
      PATH: process.env.PATH ?? "",
      LANG: "C.UTF-8",
      HOME: folder,
      TMPDIR: folder,
      LOG_LEVEL: log.level,
      ...amqp,
      SERVICE_NAME: service,
      JOB_NAME: job,
      JOB_QUEUE: queue,
      DATA_STEWARD_NAME: agent,
      DATA_FOLDER: join(workFolder, job, DATA),
      GRANT_KEYS_FILE: grantKeysFile,
      ROUND_SECONDS: String(roundMs / 1_000),
    };
  }

  async #end({ process: child, ended }: Child): Promise<void> {
    const grace = this.#options.graceMs ?? GRACE_MS;
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      child.kill(signal);
      if ((await Promise.race([ended, sleep(grace, undefined, { ref: false })])) !== undefined) return;
    }
    throw new CodedError({
      code: "JOB-STUCK",
      message: `process ${child.pid} did not end`,
      remedy: "end it by hand",
    });
  }
}

/** The sidecar of microservices in Python. */
const PYTHON_SIDECAR = join(__dirname, "../sidecar/python.js");

/**
 * What Node is started with. It runs TypeScript by leaving the types out; the flag is for versions that do not do so by themselves.
 * Python runs below a sidecar of ours.
 */
function programOf(file: string): readonly string[] {
  if (file.endsWith(".py")) return [PYTHON_SIDECAR, file];
  const flags = ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"];
  return /\.m?ts$/.test(file) ? [...flags, file] : [file];
}

async function endOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
    // Its output may still be on its way, but a process it left behind may hold it open for ever.
    await Promise.race([once(child, "close"), sleep(LAST_WORDS_MS)]);
    return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  } catch (error) {
    return `could not be started (${error instanceof Error ? error.message : String(error)})`;
  }
}

function lines(stream: Readable | null, each: (line: string) => void): void {
  if (stream === null) return;
  createInterface({ input: stream }).on("line", (line) => {
    if (line.trim() !== "") each(line.slice(0, LONGEST_LINE));
  });
}

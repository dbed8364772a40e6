/**
 * Real broker, store and agents, and a coordinator written out in the test: it signs its own grants, opens rounds and sends steps,
 * so that a test can also do what an honest one never would.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import { agentQueue, KEY, MESSAGE, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import { type Parts, packParts, unpackParts } from "../../../policy/contract/parts.js";
import type { Problem } from "../../../policy/contract/problem.js";
import {
  decode,
  encode,
  type MicroserviceCommunication,
  packRequest,
} from "../../../policy/contract/wire.js";
import { Bus } from "../../../policy/platform/bus.js";
import { GrantSigner } from "../../../policy/platform/grants.js";
import { Pending } from "../../../policy/platform/pending.js";
import { Store } from "../../../policy/platform/store.js";
import { startBroker, startStore, type TestBroker, type TestStore, until } from "../../support/servers.js";

export const PROJECT = join(__dirname, "../../..");
export const USER = { id: "ada", userName: "ada@uva.nl" };

export interface RunningAgent {
  readonly name: string;
  readonly process: ChildProcess;
  readonly workFolder: string;
  log(): string;
  kill9(): Promise<void>;
  stop(): Promise<number | null>;
}

export interface StepAnswer {
  readonly data: Record<string, unknown> | undefined;
  readonly parts: Parts;
  readonly problem: Problem | undefined;
  readonly computeMs: number;
  readonly startMs: number;
}

export interface OpenRound {
  readonly job: string;
  readonly round: number;
  readonly token: number;
  readonly grant: string;
}

export interface StepSpec {
  readonly step: string;
  readonly service: string;
  readonly data?: Record<string, unknown>;
  readonly parts?: Parts;
  readonly correlationId?: string;
  readonly request?: Record<string, unknown>;
  readonly requestType?: string;
}

export class Market {
  readonly broker: TestBroker;
  readonly server: TestStore;
  readonly bus: Bus;
  readonly store: Store;
  readonly signer = new GrantSigner();
  readonly folder: string;
  readonly experiment: string;
  readonly #pending = new Pending<MicroserviceCommunication>("an agent's answer");
  readonly #agents: RunningAgent[] = [];
  /** Correlation ids of all answers that came, in order. */
  readonly answers: string[] = [];

  private constructor(broker: TestBroker, server: TestStore, bus: Bus, store: Store, experiment: string) {
    this.broker = broker;
    this.server = server;
    this.bus = bus;
    this.store = store;
    this.experiment = experiment;
    this.folder = mkdtempSync(join(tmpdir(), "agents-"));
  }

  static async open(experiment: string): Promise<Market> {
    if (!existsSync(join(PROJECT, "dist/policy/agent/main.js")))
      throw new Error("dist is missing: npm run build");
    const [broker, server] = await Promise.all([startBroker(), startStore()]);
    const bus = await Bus.connect({
      host: broker.host,
      port: broker.port,
      user: "guest",
      password: "guest",
      service: "test",
    });
    const market = new Market(
      broker,
      server,
      bus,
      await Store.connect({ endpoint: server.endpoint }),
      experiment,
    );
    writeFileSync(join(market.folder, "password"), "guest", { mode: 0o600 });
    await market.signer.publish(market.store);
    await bus.consume(ORCHESTRATOR_QUEUE, async (incoming) => {
      const id = incoming.correlationId ?? "";
      market.answers.push(id);
      market.#pending.settle(id, decode(MESSAGE.microserviceCommunication, incoming.body));
      return "ack";
    });
    return market;
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await this.bus.close();
    await this.store.close();
    await Promise.all([this.broker.stop(), this.server.stop()]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async startAgent(name: string, env: Record<string, string> = {}): Promise<RunningAgent> {
    const workFolder = join(this.folder, name);
    mkdirSync(workFolder, { recursive: true });
    const child = spawn(process.execPath, [join(PROJECT, "dist/policy/agent/main.js")], {
      // As the supervisor does it: a group of its own.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        SERVICE_NAME: `agent-${name}`,
        AMQP_HOST: this.broker.host,
        AMQP_PORT: String(this.broker.port),
        AMQP_USER: "guest",
        AMQP_PASSWORD_FILE: join(this.folder, "password"),
        ETCD_ENDPOINT: this.server.endpoint,
        HTTP_PORT: "0",
        AGENT_NAME: name,
        EXPERIMENT_FOLDER: this.experiment,
        DATA_FOLDER: join(this.experiment, "data", name),
        WORK_FOLDER: workFolder,
        SECRET_OF_THE_OPERATOR: "not for microservices",
        ...env,
      },
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
    const end = (signal: NodeJS.Signals): Promise<number | null> => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    };
    const agent: RunningAgent = {
      name,
      process: child,
      workFolder,
      log: () => text,
      kill9: async () => void (await end("SIGKILL")),
      stop: () => end("SIGTERM"),
    };
    this.#agents.push(agent);
    await until(`agent ${name} online`, async () => {
      if (child.exitCode !== null) throw new Error(`agent ${name} ended: ${text}`);
      const online = await this.store.get<{ ActiveSince: string }>(KEY.online(name));
      return online !== undefined && text.includes('"started"');
    });
    return agent;
  }

  /** Composes a job at these agents; resolves when each has recorded it. */
  async compose(
    agents: readonly string[],
    requestType: string,
    job: string = `job-${randomUUID().slice(0, 8)}`,
  ): Promise<string> {
    for (const agent of agents) {
      const body = encode.compositionRequest({
        archetypeId: "trainThroughClients",
        requestType,
        role: "all",
        user: USER,
        dataProviders: agents,
        destinationQueue: agentQueue(agent),
        jobName: job,
      });
      await this.bus.publish(agentQueue(agent), MESSAGE.compositionRequest, body);
      await until(
        `${agent} composed ${job}`,
        async () => (await this.store.get(KEY.agentJob(agent, USER.userName, job))) !== undefined,
      );
    }
    return job;
  }

  /** Decides as the enforcer would, and opens a round in one transaction. */
  async openRound(
    job: string,
    round: number,
    claims: Pick<GrantClaims, "requestType" | "dataProviders" | "computeProviders">,
  ): Promise<OpenRound> {
    const agreements = await this.revisions(claims.dataProviders);
    const grant = this.sign({ job, round, agreements, ...claims });
    const token = await this.openRecord(job, round, agreements);
    return { job, round, grant, token };
  }

  sign(
    claims: Pick<
      GrantClaims,
      "job" | "round" | "agreements" | "requestType" | "dataProviders" | "computeProviders"
    >,
    now?: number,
  ): string {
    return this.signer.sign({ sub: USER.userName, archetype: "trainThroughClients", ...claims }, now);
  }

  async openRecord(job: string, round: number, agreements: Record<string, number>): Promise<number> {
    const opened = await this.store.open(
      Object.entries(agreements).map(([party, revision]) => ({ key: KEY.agreement(party), revision })),
      { key: KEY.round(job, round), value: { job, round, agreements, openedAt: new Date().toISOString() } },
    );
    if ("conflict" in opened) throw new Error("the agreements changed");
    return opened.revision;
  }

  async revisions(parties: readonly string[]): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (const party of parties) found[party] = (await this.store.get(KEY.agreement(party)))?.revision ?? 0;
    return found;
  }

  async step(agent: string, open: OpenRound, spec: StepSpec, milliseconds = 30_000): Promise<StepAnswer> {
    const id = spec.correlationId ?? randomUUID();
    const answer = this.#pending.wait(id, milliseconds);
    await this.send(agent, open, { ...spec, correlationId: id });
    return read(await answer);
  }

  async send(agent: string, open: OpenRound, spec: StepSpec): Promise<void> {
    const { correlationId = randomUUID(), requestType = "vflTrainRequest" } = spec;
    const body = encode.microserviceCommunication({
      type: MESSAGE.microserviceCommunication,
      requestType,
      ...(spec.data === undefined ? {} : { data: spec.data }),
      metadata: {
        grant: open.grant,
        round: String(open.round),
        token: String(open.token),
        step: spec.step,
        service: spec.service,
      },
      originalRequest: packRequest({
        type: requestType,
        data: spec.request ?? {},
        user: USER,
        requestMetadata: { jobId: open.job },
      }),
      requestMetadata: {
        jobId: open.job,
        correlationId,
        destinationQueue: agentQueue(agent),
        returnAddress: ORCHESTRATOR_QUEUE,
      },
      result: packParts(spec.parts ?? {}),
    });
    await this.bus.publish(agentQueue(agent), MESSAGE.microserviceCommunication, body, { correlationId });
  }

  async shutdown(agent: string, job: string): Promise<void> {
    const body = encode.microserviceCommunication({
      type: MESSAGE.microserviceCommunication,
      requestType: "shutdownRequest",
      requestMetadata: { jobId: job },
    });
    await this.bus.publish(agentQueue(agent), MESSAGE.microserviceCommunication, body);
    await until(
      `${agent} ended ${job}`,
      async () => (await this.store.get(KEY.agentJob(agent, USER.userName, job))) === undefined,
    );
  }

  /** A document of the experiment's folder. */
  document<T>(path: string): T {
    return JSON.parse(readFileSync(join(this.experiment, path), "utf8")) as T;
  }
}

function read(message: MicroserviceCommunication): StepAnswer {
  const { error, computeMs, startMs } = message.metadata;
  return {
    data: message.data,
    parts: unpackParts(message.result),
    problem: error === undefined ? undefined : (JSON.parse(error) as Problem),
    computeMs: Number(computeMs ?? 0),
    startMs: Number(startMs ?? 0),
  };
}

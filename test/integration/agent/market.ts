/**
 * Real broker, store and agents, and an enforcer and a coordinator written out in the test: it opens rounds, signs grants and sends tickets,
 * so that a test can also do what an honest one never would.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Senders } from "../../../policy/agent/sender.js";
import { agentKeyPair } from "../../../policy/contract/agent-key.js";
import type { OnlineAgent } from "../../../policy/contract/documents.js";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import { agentQueue, KEY, MESSAGE, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import { type Parts, packParts, viewParts } from "../../../policy/contract/parts.js";
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
import {
  ANSWER_TYPE,
  answerPath,
  encodeAnswer,
  encodeTicket,
  SENDER_HEADER,
  type StepSpan,
} from "../../../policy/rounds/messages.js";
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

/** What an agent reports of its part in a round. */
export interface Report {
  /** JSON answer of the workflow's result step, where it did that one. */
  readonly data: Record<string, unknown> | undefined;
  readonly spans: readonly StepSpan[];
  readonly problem: Problem | undefined;
  /** Of a failure. */
  readonly step: string | undefined;
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
}

export interface TicketSpec {
  readonly steps: readonly StepSpec[];
  readonly correlationId?: string;
  readonly request?: Record<string, unknown>;
  readonly requestType?: string;
  /** Who asks. Default ada. */
  readonly user?: string;
}

/** A step's answer as an agent hands it over, or as one never would. */
export interface AnswerSpec {
  readonly step: string;
  readonly from: string;
  /** Whose key it bears the code of. Default: the sender's. */
  readonly by?: string;
  readonly data?: Record<string, unknown>;
  readonly parts?: Parts;
  /** Instead of an answer. */
  readonly body?: Uint8Array<ArrayBuffer> | string;
  readonly headers?: Record<string, string>;
}

type Claims = Pick<GrantClaims, "requestType" | "dataProviders" | "computeProviders"> &
  Partial<Pick<GrantClaims, "dataSets" | "columns">>;

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
    await market.store.put(KEY.archetype("trainThroughClients"), {
      name: "trainThroughClients",
      computeProvider: "other",
      resultRecipient: "requestor",
      weight: 50,
    });
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
    await this.publishKey(name);
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
        AGENT_KEY_FILE: this.#secretFile(name),
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

  /** What an agent's key follows from; of one whose part the test plays as well. */
  #secret = (agent: string): string => `the secret of ${agent}`;

  #secretFile(agent: string): string {
    const file = join(this.folder, `key-${agent}`);
    writeFileSync(file, this.#secret(agent), { mode: 0o600 });
    return file;
  }

  /** Puts an agent's public key into the store, as `up` does. */
  async publishKey(agent: string): Promise<void> {
    await this.store.put(KEY.agentKey(agent), agentKeyPair(this.#secret(agent)).publicKey);
  }

  /** Composes a job at these agents; resolves when each has recorded it. */
  async compose(
    agents: readonly string[],
    requestType: string,
    job: string = `job-${randomUUID().slice(0, 8)}`,
  ): Promise<string> {
    for (const agent of agents) {
      const body = this.composition(agent, agents, requestType, job);
      await this.bus.publish(agentQueue(agent), MESSAGE.compositionRequest, body);
      await until(
        `${agent} composed ${job}`,
        async () => (await this.store.get(KEY.agentJob(agent, USER.userName, job))) !== undefined,
      );
    }
    return job;
  }

  composition(agent: string, agents: readonly string[], requestType: string, job: string): Uint8Array {
    return encode.compositionRequest({
      archetypeId: "trainThroughClients",
      requestType,
      role: "all",
      user: USER,
      dataProviders: agents,
      destinationQueue: agentQueue(agent),
      jobName: job,
    });
  }

  /** Opens a round in one transaction, then grants it, as the enforcer does. */
  async openRound(job: string, round: number, claims: Claims): Promise<OpenRound> {
    const agreements = await this.revisions(claims.dataProviders);
    const token = await this.openRecord(job, round, agreements);
    return { job, round, token, grant: this.sign({ job, round, token, agreements, ...claims }) };
  }

  sign(
    claims: Claims & Pick<GrantClaims, "job" | "round" | "token" | "agreements"> & Partial<GrantClaims>,
    now?: number,
  ): string {
    const common = { sub: USER.userName, archetype: "trainThroughClients", dataSets: [], columns: {} };
    return this.signer.sign({ ...common, ...claims }, now);
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

  /** Sends a ticket; resolves with the agent's report. */
  async ticket(agent: string, open: OpenRound, spec: TicketSpec, milliseconds = 60_000): Promise<Report> {
    const id = spec.correlationId ?? randomUUID();
    const answer = this.#pending.wait(id, milliseconds);
    await this.send(agent, open, { ...spec, correlationId: id });
    return read(await answer);
  }

  async send(agent: string, { job, round, token, grant }: OpenRound, spec: TicketSpec): Promise<void> {
    const { correlationId = randomUUID(), requestType = "vflTrainRequest", request = {}, steps, user } = spec;
    const packed = packRequest({
      type: requestType,
      data: request,
      user: user === undefined ? USER : { id: user, userName: user },
      requestMetadata: { jobId: job },
    });
    const body = encodeTicket(correlationId, {
      agent,
      job,
      round,
      token,
      grant,
      requestType,
      steps,
      request: packed,
    });
    await this.bus.publish(agentQueue(agent), MESSAGE.microserviceCommunication, body, { correlationId });
  }

  /** Hands a step's answer over to an agent, as another agent does. */
  async handOver(
    to: string,
    { job, round, grant }: Pick<OpenRound, "job" | "round" | "grant">,
    { step, from, by = from, data, parts = {}, body, headers }: AnswerSpec,
  ): Promise<{ readonly status: number; readonly problem: Problem | undefined }> {
    const address = (await this.store.get<OnlineAgent>(KEY.online(to)))?.value.dns;
    const sent = body ?? new Uint8Array(encodeAnswer({ data, parts: viewParts(packParts(parts)) }));
    const bytes = typeof sent === "string" ? Buffer.from(sent) : sent;
    const code = this.#sendersOf(by, to).sign(to, { job, round, step, grant }, bytes);
    const answer = await fetch(`http://${address}${answerPath(job, round, step, from)}`, {
      method: "PUT",
      headers: {
        authorization: `Bearer ${grant}`,
        "content-type": ANSWER_TYPE,
        [SENDER_HEADER]: code,
        ...headers,
      },
      body: sent,
    });
    const text = await answer.text();
    return { status: answer.status, problem: text === "" ? undefined : (JSON.parse(text) as Problem) };
  }

  #sendersOf(agent: string, to: string): Senders {
    const value = agentKeyPair(this.#secret(to)).publicKey;
    return new Senders(agent, this.#secret(agent), {
      get: (key) => (key === KEY.agentKey(to) ? { key, value, revision: 1 } : undefined),
    });
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

function read({ data, metadata }: MicroserviceCommunication): Report {
  const { error, step, spans = "[]" } = metadata;
  return {
    data,
    spans: JSON.parse(spans) as StepSpan[],
    problem: error === undefined ? undefined : (JSON.parse(error) as Problem),
    step,
  };
}

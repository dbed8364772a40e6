/**
 * Real broker, store and policy enforcer, the orchestrator and the gateway under test, and scripted agents that speak the real messages: a test
 * says what a step answers, and sees every message an agent gets.
 */
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Plans } from "../../../policy/agent/plans.js";
import type { Agreement, Archetype, Microservice, RequestType } from "../../../policy/contract/documents.js";
import type { JobEnd } from "../../../policy/contract/job.js";
import { KEY, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import { decode, encode } from "../../../policy/contract/wire.js";
import { Audit } from "../../../policy/enforcer/audit.js";
import { Enforcer } from "../../../policy/enforcer/enforcer.js";
import { createMetrics } from "../../../policy/enforcer/metrics.js";
import { type Gateway, type GatewayOptions, startGateway } from "../../../policy/gateway/gateway.js";
import { createApi } from "../../../policy/orchestrator/api.js";
import { type Orchestrator, startOrchestrator } from "../../../policy/orchestrator/orchestrator.js";
import { Bus } from "../../../policy/platform/bus.js";
import { GrantVerifier } from "../../../policy/platform/grants.js";
import { createLogger } from "../../../policy/platform/log.js";
import { Store } from "../../../policy/platform/store.js";
import { startBroker, startStore, type TestBroker, type TestStore, until } from "../../support/servers.js";
import { TestIssuer } from "../../support/test-issuer.js";
import { ScriptedAgent } from "./scripted-agent.js";

/** An answer's body, as the tests read it. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at any field of it, and compare
export type JsonBody = Record<string, any>;

export const USER = { id: "1", userName: "ada@uva.nl" };
export const TOKEN = "operator-token-of-the-test";
export const PROVIDERS = ["one", "two"];
/** Of a write that replaces an agreement, whatever it is. */
export const WHATEVER = { "if-match": "*" };

export const log = createLogger("test", process.env.TEST_LOG ?? "fatal");

export const ARCHETYPES: Archetype[] = [
  { name: "computeToData", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 100 },
  { name: "throughOther", computeProvider: "other", resultRecipient: "requestor", weight: 50 },
];
export const SERVICES: Microservice[] = [
  { name: "reader", label: "dataProvider", allowedOutputs: ["adder"], invalidArchetypes: [] },
  { name: "adder", label: "computeProvider", allowedOutputs: ["reader"], invalidArchetypes: [] },
];
export const TYPES: RequestType[] = [
  {
    name: "sum",
    requiredServices: ["reader", "adder"],
    schema: {
      type: "object",
      required: ["rounds"],
      additionalProperties: false,
      properties: { rounds: { type: "integer", minimum: 1 }, note: { type: "string" } },
    },
    workflow: {
      rounds: "rounds",
      steps: [
        { name: "read", service: "reader", role: "dataProvider" },
        { name: "add", service: "adder", role: "computeProvider", inputs: [{ step: "read" }] },
      ],
      result: "add",
    },
  },
  { name: "chain", requiredServices: ["reader", "adder"] },
];

export function agreement(name: string, change: Partial<Agreement["relations"][string]> = {}): Agreement {
  return {
    name,
    relations: {
      [USER.userName]: {
        ID: USER.id,
        requestTypes: ["sum", "chain"],
        allowedArchetypes: ["throughOther", "computeToData"],
        allowedComputeProviders: ["hub"],
        ...change,
      },
    },
    computeProviders: ["hub"],
    archetypes: ["throughOther", "computeToData"],
  };
}

export class Market {
  readonly broker: TestBroker;
  readonly server: TestStore;
  readonly issuer: TestIssuer;
  readonly agents = new Map<string, ScriptedAgent>();
  readonly #buses: Bus[] = [];
  readonly #stores: Store[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  store!: Store;
  bus!: Bus;
  enforcer: Enforcer | undefined;
  orchestrator!: Orchestrator;
  firstOrchestrator!: { kill(): Promise<void> };
  gateway!: Gateway;
  /** `http://host:port` */
  gatewayUrl = "";
  apiUrl = "";
  /** The header of {@link USER}'s token. */
  asUser = { authorization: "" };

  private constructor(broker: TestBroker, server: TestStore, issuer: TestIssuer) {
    this.broker = broker;
    this.server = server;
    this.issuer = issuer;
  }

  static async open(gateway: Partial<GatewayOptions> = {}): Promise<Market> {
    const [broker, server, issuer] = await Promise.all([startBroker(), startStore(), TestIssuer.start()]);
    const market = new Market(broker, server, issuer);
    market.asUser = await market.as(USER.userName);
    market.store = await market.newStore();
    market.bus = await market.newBus("agents");
    const { store } = market;
    await Promise.all([
      ...ARCHETYPES.map((a) => store.put(KEY.archetype(a.name), a)),
      ...SERVICES.map((s) => store.put(KEY.microservice(s.name), s)),
      ...TYPES.map((t) => store.put(KEY.requestType(t.name), t)),
      ...[...PROVIDERS, "hub"].map((p) => store.put(KEY.agreement(p), agreement(p))),
    ]);
    const [requestTypes, services, archetypes, grants] = await Promise.all([
      store.mirror<RequestType>(KEY.requestTypePrefix),
      store.mirror<Microservice>(KEY.microservicePrefix),
      store.mirror<Archetype>(KEY.archetypePrefix),
      GrantVerifier.open(store),
    ]);
    const neighbourhood = {
      agents: market.agents,
      plans: new Plans(requestTypes, services, archetypes),
      grants,
    };
    for (const name of [...PROVIDERS, "hub"]) {
      const agent = new ScriptedAgent(name, market.bus, neighbourhood);
      market.agents.set(name, agent);
      await agent.start(store);
    }
    await market.startEnforcer();
    market.firstOrchestrator = await market.startOrchestrator();
    await market.#startGateway(gateway);
    return market;
  }

  agent(name: string): ScriptedAgent {
    const agent = this.agents.get(name);
    if (agent === undefined) throw new Error(`no agent ${name} in this test`);
    return agent;
  }

  async newBus(service: string): Promise<Bus> {
    const { host, port } = this.broker;
    const bus = await Bus.connect({ host, port, user: "guest", password: "guest", service });
    this.#buses.push(bus);
    return bus;
  }

  async newStore(): Promise<Store> {
    const store = await Store.connect({ endpoint: this.server.endpoint, log });
    this.#stores.push(store);
    return store;
  }

  async startEnforcer(): Promise<void> {
    const store = await this.newStore();
    const folder = join(this.server.folder, "audit");
    this.enforcer = await Enforcer.start({
      bus: await this.newBus("enforcer"),
      store,
      log,
      metrics: createMetrics(),
      audit: new Audit({ folder, enforcer: "policy-enforcer", store, log }),
    });
  }

  /** An orchestrator as a process of its own would be: with its own connections. Its API listens too. */
  async startOrchestrator(stepDeadline = 20_000): Promise<{ kill(): Promise<void> }> {
    const bus = await this.newBus("orchestrator");
    const store = await this.newStore();
    const orchestrator = await startOrchestrator({ bus, store, log, stepDeadline, enforcerDeadline: 2_000 });
    const api = createApi({
      log,
      store,
      jobs: orchestrator.jobs,
      find: (id) => orchestrator.coordinator.find(id),
      cancel: (id) => orchestrator.coordinator.cancel(id),
      agents: () => orchestrator.catalogue.agents(),
      operatorToken: TOKEN,
      users: this.issuer.verifier(),
      ready: () => bus.up || "the message broker is away",
    });
    await api.listen({ host: "127.0.0.1", port: 0 });
    this.orchestrator = orchestrator;
    this.apiUrl = urlOf(api.server.address());
    this.#closers.push(() => api.close());
    // Only its connections end: nothing is told to anybody, as when the process is killed.
    return { kill: async () => void (await Promise.all([bus.close(), store.close(), api.close()])) };
  }

  async #startGateway(options: Partial<GatewayOptions>): Promise<void> {
    this.gateway = await startGateway({
      bus: await this.newBus("gateway"),
      store: await this.newStore(),
      log,
      users: this.issuer.verifier(),
      ...options,
    });
    await this.gateway.http.listen({ host: "127.0.0.1", port: 0 });
    this.gatewayUrl = urlOf(this.gateway.http.server.address());
    this.#closers.push(() => this.gateway.close());
  }

  /** The header of a user's token. */
  async as(user: string, roles: readonly string[] = ["requester"]): Promise<{ authorization: string }> {
    return { authorization: `Bearer ${await this.issuer.token({ sub: user, roles, exp: 9_999_999_999 })}` };
  }

  /** `POST /api/v1/requestApproval`, with {@link USER}'s token unless the headers bring another. */
  async ask(
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: JsonBody; headers: Headers; ms: number }> {
    const begin = performance.now();
    const response = await fetch(`${this.gatewayUrl}/api/v1/requestApproval`, {
      method: "POST",
      headers: { "content-type": "application/json", ...this.asUser, ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: JSON.parse(text),
      headers: response.headers,
      ms: performance.now() - begin,
    };
  }

  /** A request to the orchestrator's API with the operator's token. */
  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: JsonBody; headers: Headers }> {
    const response = await fetch(`${this.apiUrl}/api/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: JSON.parse(await response.text()), headers: response.headers };
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
    await this.orchestrator.close();
    await this.enforcer?.close();
    await Promise.all(this.#buses.map((bus) => bus.close()));
    await Promise.all(this.#stores.map((store) => store.close()));
    await Promise.all([this.broker.stop(), this.server.stop(), this.issuer.close()]);
  }
}

export const approval = (change: Record<string, unknown> = {}) => ({
  type: "sum",
  user: USER,
  dataProviders: PROVIDERS,
  ...change,
});
export const request = (rounds: number, change: Record<string, unknown> = {}) =>
  approval({ data_request: { type: "sum", data: { rounds }, requestMetadata: {} }, ...change });

/** Sends a data request past the gateway; the job's end as told to its sender. */
export async function sendPast(
  market: Market,
  jobId: string,
  change: object,
  times = 1,
): Promise<JobEnd | undefined> {
  const correlationId = randomUUID();
  const returnAddress = `test-${correlationId}`;
  await market.bus.declareQueue(returnAddress);
  const ends: JobEnd[] = [];
  const consumer = await market.bus.consume(returnAddress, async ({ body }) => {
    const { metadata, data } = decode("microserviceCommunication", body);
    if (metadata.event === "end") ends.push(data as unknown as JobEnd);
    return "ack";
  });
  const message = encode.request({
    type: "sum",
    data: { rounds: 2 },
    user: USER,
    requestMetadata: { jobId, returnAddress },
    ...change,
  });
  await Promise.all(
    Array.from({ length: times }, () =>
      market.bus.publish(ORCHESTRATOR_QUEUE, "Request", message, { correlationId }),
    ),
  );
  await until("the end", () => ends.length > 0);
  await consumer.stop();
  await market.bus.deleteQueue(returnAddress);
  return ends[0];
}

function urlOf(address: string | AddressInfo | null): string {
  if (address === null || typeof address === "string") throw new Error("not listening");
  return `http://127.0.0.1:${address.port}`;
}

/** Server-sent events of a stream, as they come. */
export async function* events(
  url: string,
  headers: Record<string, string> = {},
): AsyncGenerator<{ id: number; event: string; data: JsonBody }> {
  const response = await fetch(url, { headers });
  if (response.status !== 200 || response.body === null) throw new Error(`${url}: ${response.status}`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)] as const),
      );
      text = text.slice(end + 2);
      if (fields.has("event"))
        yield {
          id: Number(fields.get("id")),
          event: fields.get("event") ?? "",
          data: JSON.parse(fields.get("data") ?? "null"),
        };
    }
  }
}

import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Agreement, RoundRecord } from "../../../policy/contract/documents.js";
import { KEY, MESSAGE, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import { decode, type ValidationResponse } from "../../../policy/contract/wire.js";
import { Audit } from "../../../policy/enforcer/audit.js";
import { Enforcer } from "../../../policy/enforcer/enforcer.js";
import { createMetrics } from "../../../policy/enforcer/metrics.js";
import { openRound } from "../../../policy/enforcer/rounds.js";
import { EnforcerClient } from "../../../policy/orchestrator/enforcer-client.js";
import { Bus } from "../../../policy/platform/bus.js";
import { GrantVerifier } from "../../../policy/platform/grants.js";
import { createLogger } from "../../../policy/platform/log.js";
import { Store } from "../../../policy/platform/store.js";
import { startBroker, startStore, type TestBroker, type TestStore, until } from "../../support/servers.js";

const log = createLogger("test", "silent");
const PARTIES = ["one", "two", "server"];
const PATIENCE_MS = 10_000;

let broker: TestBroker;
let server: TestStore;
let store: Store;
let bus: Bus;
let enforcer: Enforcer;
let client: EnforcerClient;
let verifier: GrantVerifier;
const closers: (() => Promise<void>)[] = [];
/** Runs just before a round's transaction, each time: it is then decided, and not open yet. */
let beforeOpening: (attempt: number) => Promise<unknown> = async () => {};
let openings = 0;
let jobs = 0;
let job = "";

const agreement = (name: string, change: object = {}): Agreement => ({
  name,
  relations: {
    "ada@uva.nl": {
      ID: "1",
      requestTypes: ["train"],
      allowedArchetypes: ["through"],
      allowedComputeProviders: ["server"],
      ...change,
    },
  },
  computeProviders: ["server"],
  archetypes: ["through"],
});
let changes = 0;
/** An agreement that allows the same, at a new revision. */
const touch = (name = "two"): Promise<number> => {
  changes += 1;
  return store.put(KEY.agreement(name), agreement(name, { ID: String(changes) }));
};
const forbid = (): Promise<number> => store.put(KEY.agreement("two"), { ...agreement("two"), relations: {} });
const revisions = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    await Promise.all(
      PARTIES.map(async (name) => [name, (await store.get(KEY.agreement(name)))?.revision ?? 0] as const),
    ),
  );
const record = (round = 1) => store.get<RoundRecord>(KEY.round(job, round));

const question = {
  requestType: "train",
  user: { id: "1", userName: "ada@uva.nl" },
  dataProviders: ["one", "two"],
};
const ask = (round = 1): Promise<ValidationResponse> =>
  client.ask({ ...question, round: { job, round, archetype: "through", computeProvider: "server" } });
const claimsOf = (response: ValidationResponse) => verifier.verify(response.auth?.accessToken ?? "");

async function connect(service: string): Promise<Bus> {
  const { host, port } = broker;
  const made = await Bus.connect({ host, port, user: "guest", password: "guest", service });
  closers.push(() => made.close());
  return made;
}

/** The real store, with a moment between decision and opening that the test can use. */
function watched(real: Store): Store {
  return new Proxy(real, {
    get(target, name) {
      if (name === "open")
        return async (...call: Parameters<Store["open"]>) => {
          openings += 1;
          await beforeOpening(openings);
          return await target.open(...call);
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

beforeAll(async () => {
  [broker, server] = await Promise.all([startBroker(), startStore()]);
  store = await Store.connect({ endpoint: server.endpoint, log });
  closers.push(() => store.close());
  for (const name of PARTIES) await store.put(KEY.agreement(name), agreement(name));
  await store.put(KEY.archetype("through"), {
    name: "through",
    computeProvider: "other",
    resultRecipient: "requestor",
    weight: 1,
  });
  await store.put(KEY.requestType("train"), { name: "train", requiredServices: [] });
  bus = await connect("orchestrator");
  client = new EnforcerClient(bus);
  verifier = await GrantVerifier.open(store);
  await bus.consume(ORCHESTRATOR_QUEUE, async ({ correlationId = "", body }) => {
    client.answered(correlationId, decode(MESSAGE.validationResponse, body));
    return "ack";
  });
  const enforcers = await Store.connect({ endpoint: server.endpoint, log });
  closers.push(() => enforcers.close());
  enforcer = await Enforcer.start({
    bus: await connect("enforcer"),
    store: watched(enforcers),
    log,
    metrics: createMetrics(),
    audit: new Audit({
      folder: join(server.folder, "audit"),
      enforcer: "policy-enforcer",
      store: enforcers,
      log,
    }),
  });
}, 120_000);

afterAll(async () => {
  await enforcer?.close();
  for (const close of closers.reverse()) await close();
  await Promise.all([broker?.stop(), server?.stop()]);
}, 60_000);

beforeEach(() => {
  jobs += 1;
  job = `job${jobs}`;
  openings = 0;
});
afterEach(async () => {
  beforeOpening = async () => {};
  await touch(); // allowed again, whatever the test did
});

describe("the opening of a round", () => {
  it("is one write at the agreements decided on; its revision is the token that is signed", async () => {
    const decided = await revisions();
    const response = await ask();
    const written = await record();
    expect(response).toMatchObject({
      requestApproved: true,
      error: "",
      token: written?.revision,
      agreementRevisions: decided,
    });
    expect(response.openMs).toBeGreaterThan(0);
    expect(written?.value).toMatchObject({ job, round: 1, agreements: decided });
    expect(await claimsOf(response)).toMatchObject({
      job,
      round: 1,
      token: written?.revision,
      agreements: decided,
    });
  });

  it("is decided again when an agreement changes between decision and opening", async () => {
    let changed = 0;
    beforeOpening = async (attempt) => {
      if (attempt === 1) changed = await touch();
    };
    const response = await ask();
    expect(openings).toBeGreaterThan(1);
    expect(response).toMatchObject({ requestApproved: true, agreementRevisions: { two: changed } });
    expect((await record())?.value.agreements.two).toBe(changed);
    expect((await claimsOf(response)).agreements.two).toBe(changed);
    expect(response.token).toBeGreaterThan(changed);
  });

  it("is refused when the change between decision and opening forbids it, and leaves no record", async () => {
    beforeOpening = async (attempt) => {
      if (attempt === 1) await forbid();
    };
    const response = await ask();
    expect(response).toMatchObject({
      requestApproved: false,
      token: 0,
      auth: { accessToken: "" },
      reasons: [{ code: "POL-NO-AGREEMENT", party: "two" }],
    });
    expect(await record()).toBeUndefined();
  });

  it("is given up after three changes in a row, coded, without a grant and without a record", async () => {
    beforeOpening = () => touch();
    const response = await ask();
    expect(JSON.parse(response.error)).toMatchObject({ code: "ORC-ROUND-CONFLICT", path: "rounds/1" });
    expect(response).toMatchObject({ token: 0 });
    expect(response.auth?.accessToken ?? "").toBe("");
    expect([openings, await record()]).toEqual([3, undefined]);
  });

  it("happens once: asked again, its answer lost, it has the same token and a grant of its own", async () => {
    const first = await ask();
    const again = await ask();
    expect(again.token).toBe(first.token);
    expect(again.auth?.accessToken).not.toBe(first.auth?.accessToken);
    const [one, two] = [await claimsOf(first), await claimsOf(again)];
    expect(two).toMatchObject({ job, round: 1, token: one.token, agreements: one.agreements });
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(2)));
    expect(new Set(all.map(({ token }) => token))).toEqual(new Set([(await record(2))?.revision]));
  });

  it("does not come back after a change: refused if it forbids, a conflict if it allows", async () => {
    const first = await ask();
    const before = await record();
    const changed = await touch();
    await until("the enforcer knows the change", async () => {
      const other = await client.ask(question);
      return other.agreementRevisions.two === changed;
    });
    const again = await ask();
    expect(JSON.parse(again.error)).toMatchObject({ code: "ORC-ROUND-CONFLICT" });
    expect([again.token, again.auth?.accessToken ?? ""]).toEqual([0, ""]);
    // The next round opens on what is true now.
    expect(await ask(2)).toMatchObject({ requestApproved: true, agreementRevisions: { two: changed } });
    await forbid();
    await until("the enforcer knows that", async () => !(await client.ask(question)).requestApproved);
    expect(await ask()).toMatchObject({ requestApproved: false, token: 0, auth: { accessToken: "" } });
    expect(await record()).toEqual(before);
    expect(first.token).toBe(before?.revision);
  });

  it("never happens for a first approval, a denial or a round that leaves open what it is", async () => {
    const { revision } = await store.list(KEY.jobPrefix);
    const approval = await client.ask(question);
    expect(approval).toMatchObject({
      requestApproved: true,
      token: 0,
      openMs: 0,
      auth: { accessToken: "" },
    });
    const bound = { job, round: 1, archetype: "through", computeProvider: "server" };
    const denied = await Promise.all([
      client.ask({ ...question, dataProviders: ["one", "nope"], round: bound }),
      client.ask({ ...question, user: { id: "2", userName: "eve" }, round: bound }),
      client.ask({ ...question, round: { ...bound, computeProvider: "one" } }),
      client.ask({ ...question, round: { ...bound, archetype: "" } }),
    ]);
    expect(denied.map((d) => [d.requestApproved, d.token])).toEqual(denied.map(() => [false, 0]));
    expect(openings).toBe(0);
    expect((await store.list(KEY.jobPrefix)).revision).toBe(revision);
    expect(await record()).toBeUndefined();
  });

  it("compares and writes in one transaction: agreements that are not the store's open nothing", async () => {
    const agreements = await revisions();
    const now = await touch();
    const opening = await openRound(store, { job, round: 1, agreements }, PATIENCE_MS);
    expect(opening).toEqual({ changedAt: now });
    expect(await record()).toBeUndefined();
    const right: Record<string, number> = { ...agreements, two: now };
    const opened = await openRound(store, { job, round: 1, agreements: right }, PATIENCE_MS);
    expect(opened).toEqual({ token: (await record())?.revision });
    // One party less is another decision.
    const { server: _, ...fewer } = right;
    expect(await openRound(store, { job, round: 1, agreements: fewer }, PATIENCE_MS)).toMatchObject({
      changedAt: expect.any(Number),
    });
  });
});

describe("the opening of a round while the store is away", () => {
  it("waits for it, and so does who asks", async () => {
    await server.stop();
    const asked = ask();
    await until("the enforcer has decided", () => openings === 1);
    await server.restart();
    const response = await asked;
    expect(response).toMatchObject({ requestApproved: true, error: "", token: (await record())?.revision });
    expect(response.openMs).toBeGreaterThan(0);
  }, 60_000);

  it("fails with a code in the answer when that takes too long, and the enforcer goes on", async () => {
    await server.kill9();
    const response = await ask();
    expect(JSON.parse(response.error)).toEqual({
      code: "STO-UNREACHABLE",
      path: server.endpoint,
      message: expect.any(String),
      remedy: expect.any(String),
    });
    expect([response.token, response.auth?.accessToken ?? ""]).toEqual([0, ""]);
    // A first approval needs no store.
    expect((await client.ask(question)).requestApproved).toBe(true);
    await server.restart();
    expect(await record()).toBeUndefined();
    await until("a round opens", async () => (await ask()).token > 0);
  }, 90_000);

  it("is not waited for by a job that is being ended", async () => {
    await server.stop();
    const stop = new AbortController();
    const round = { job, round: 1, archetype: "through", computeProvider: "server" };
    const asked = client.ask({ ...question, round }, { patience: 30_000, signal: stop.signal });
    await until("the enforcer has decided", () => openings === 1);
    const reason = new Error("the orchestrator ends");
    stop.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(client.ask(question, { signal: stop.signal })).rejects.toBe(reason);
    await server.restart();
  }, 60_000);
});

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Agreement } from "../../../policy/contract/documents.js";
import {
  DEAD_LETTER_QUEUE,
  ENFORCER_QUEUE,
  KEY,
  MESSAGE,
  ORCHESTRATOR_QUEUE,
} from "../../../policy/contract/names.js";
import {
  type Draft,
  decode,
  encode,
  type RequestApproval,
  type ValidationResponse,
} from "../../../policy/contract/wire.js";
import { Bus } from "../../../policy/platform/bus.js";
import { GrantVerifier } from "../../../policy/platform/grants.js";
import { Pending } from "../../../policy/platform/pending.js";
import { Store } from "../../../policy/platform/store.js";
import { bundle } from "../../support/bundle.js";
import { enforcerEnvironment, isHealthy } from "../../support/enforcer.js";
import {
  findProgram,
  freePorts,
  startBroker,
  startStore,
  type TestBroker,
  type TestStore,
  until,
} from "../../support/servers.js";

let broker: TestBroker;
let server: TestStore;
let store: Store;
let bus: Bus;
let folder: string;
let http: string;
let enforcer: ChildProcess;
const answers = new Pending<ValidationResponse>("the policy enforcer's answer");
const dead: { type: string; body: Uint8Array }[] = [];
let number = 0;

const relation = (more: object = {}) => ({
  ID: "1",
  requestTypes: ["train"],
  allowedArchetypes: ["through"],
  allowedComputeProviders: ["server"],
  ...more,
});
const agreement = (name: string, relations: object = { "ada@uva.nl": relation() }): Agreement => ({
  name,
  relations: relations as Agreement["relations"],
  computeProviders: ["server"],
  archetypes: ["through"],
});

/** Asks as an orchestrator does. */
async function ask(more: Draft<RequestApproval> = {}, milliseconds = 20_000): Promise<ValidationResponse> {
  number += 1;
  const correlationId = `call-${number}`;
  const answer = answers.wait(correlationId, milliseconds);
  const body = encode.requestApproval({
    type: "train",
    user: { id: "1", userName: "ada@uva.nl" },
    dataProviders: ["one", "two"],
    ...more,
  });
  await bus.publish(ENFORCER_QUEUE, MESSAGE.requestApproval, body, { correlationId });
  return answer;
}

function startEnforcer(more: Record<string, string> = {}): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, [join(folder, "main.js")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...enforcerEnvironment(broker, server, folder, new URL(http).port), ...more },
  });
  let text = "";
  child.stdout?.on("data", (d) => (text += d));
  child.stderr?.on("data", (d) => (text += d));
  return { child, output: () => text };
}

const healthy = () => isHealthy(http);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "enforcer-"));
  writeFileSync(join(folder, "password"), "guest", { mode: 0o600 });
  [broker, server] = await Promise.all([
    startBroker(),
    startStore(),
    bundle("policy/enforcer/main.ts", join(folder, "main.js")),
  ]);
  http = `http://127.0.0.1:${(await freePorts(1))[0]}`;
  store = await Store.connect({ endpoint: server.endpoint });
  bus = await Bus.connect({
    host: broker.host,
    port: broker.port,
    user: "guest",
    password: "guest",
    service: "orchestrator",
  });
  await bus.consume(ORCHESTRATOR_QUEUE, async (m) => {
    answers.settle(m.correlationId ?? "", decode(MESSAGE.validationResponse, m.body));
    return "ack";
  });
  await bus.consume(
    DEAD_LETTER_QUEUE,
    async (m) => {
      dead.push({ type: m.type, body: m.body });
      return "ack";
    },
    { queue: "existing" },
  );
  for (const name of ["one", "two", "server"]) await store.put(KEY.agreement(name), agreement(name));
  await store.put(KEY.archetype("through"), {
    name: "through",
    computeProvider: "other",
    resultRecipient: "requestor",
    weight: 1,
  });
  await store.put(KEY.requestType("train"), { name: "train", requiredServices: [] });
  enforcer = startEnforcer().child;
  await until("the enforcer is ready", healthy);
}, 120_000);

afterAll(async () => {
  if (enforcer.exitCode === null) {
    enforcer.kill("SIGKILL");
    await once(enforcer, "exit");
  }
  await bus.close();
  await store.close();
  await Promise.all([broker.stop(), server.stop()]);
  rmSync(folder, { recursive: true });
}, 60_000);

describe("the policy enforcer", () => {
  it("answers with the same correlation id, its reasons, revisions and a grant that verifies", async () => {
    const verifier = await GrantVerifier.open(store);
    const response = await ask({ jobId: "j", round: 2, archetypeId: "through", computeProvider: "server" });
    const revisions = Object.fromEntries(
      await Promise.all(
        ["one", "two", "server"].map(async (name) => [
          name,
          (await store.get(KEY.agreement(name)))?.revision,
        ]),
      ),
    );
    expect(response).toMatchObject({
      requestApproved: true,
      jobId: "j",
      round: 2,
      agreementRevisions: revisions,
    });
    expect(response.revision).toBeGreaterThanOrEqual(Math.max(...Object.values<number>(revisions)));
    expect(await verifier.verify(response.auth?.accessToken ?? "")).toMatchObject({
      iss: "policy-enforcer",
      sub: "ada@uva.nl",
      job: "j",
      round: 2,
      requestType: "train",
      archetype: "through",
      dataProviders: ["one", "two"],
      computeProviders: ["server"],
      agreements: revisions,
      token: response.token,
    });
    expect(response.token).toBe((await store.get(KEY.round("j", 2)))?.revision);
    await verifier.close();
  });

  it("never mixes up calls that wait at the same time, of one user", async () => {
    const rounds = Array.from({ length: 200 }, (_, i) => i + 1);
    const all = await Promise.all(
      rounds.map((round) =>
        ask({ jobId: `j${round}`, round, archetypeId: "through", computeProvider: "server" }),
      ),
    );
    expect(all.map((r) => [r.jobId, r.round, r.requestApproved])).toEqual(
      rounds.map((round) => [`j${round}`, round, true]),
    );
  });

  it("answers an unknown provider, user or request type at once", async () => {
    const begin = performance.now();
    const [provider, user, type] = await Promise.all([
      ask({ dataProviders: ["nope", "one"] }),
      ask({ user: { id: "2", userName: "eve" } }),
      ask({ type: "trian" }),
    ]);
    expect(performance.now() - begin).toBeLessThan(1_000);
    expect(
      [provider, user, type].map((r) => [r.requestApproved, r.reasons[0]?.code, r.auth?.accessToken]),
    ).toEqual([
      [false, "POL-PROVIDER-UNKNOWN", ""],
      [false, "POL-NO-AGREEMENT", ""],
      [false, "POL-REQUEST-TYPE-UNKNOWN", ""],
    ]);
  });

  it("sends messages that are no request to the dead-letter queue, and goes on", async () => {
    const before = dead.length;
    const many = Array.from({ length: 300 }, (_, i) => `p${i}`);
    const bad: [string, Uint8Array][] = [
      ["surprise", Uint8Array.of(1, 2, 3)],
      ["", new Uint8Array(0)],
      [MESSAGE.validationResponse, encode.validationResponse({ type: "x" })],
      [MESSAGE.requestApproval, Uint8Array.of(0x0a, 0xff, 0xff)],
      [MESSAGE.requestApproval, encode.requestApproval({ type: "train", dataProviders: many })],
      ...[{ jobId: "j/end" }, { jobId: "x".repeat(129) }, { jobId: "j", round: 1e6 }].map(
        (more): [string, Uint8Array] => [
          MESSAGE.requestApproval,
          encode.requestApproval({ type: "train", dataProviders: ["one"], ...more }),
        ],
      ),
    ];
    for (const [type, body] of bad) await bus.publish(ENFORCER_QUEUE, type, body);
    expect((await ask()).requestApproved).toBe(true);
    await until("all are dead-lettered", () => dead.length === before + bad.length);
    expect(
      dead
        .slice(before)
        .map((d) => d.type)
        .sort(),
    ).toEqual(bad.map(([type]) => type).sort());
    expect(enforcer.exitCode).toBeNull();
    expect(await (await fetch(`${http}/metrics`)).text()).toContain(
      `dynamos_enforcer_refused_messages_total ${bad.length}`,
    );
  });

  it("knows a change once asked to know it, both ways", async () => {
    for (let i = 0; i < 20; i += 1) {
      const left = await store.put(KEY.agreement("two"), agreement("two", {}));
      const denied = await ask({ leastRevision: left });
      expect(denied.reasons).toMatchObject([{ code: "POL-NO-AGREEMENT", party: "two" }]);
      expect([denied.requestApproved, denied.revision >= left]).toEqual([false, true]);
      const back = await store.put(KEY.agreement("two"), agreement("two"));
      const allowed = await ask({ leastRevision: back });
      expect([allowed.requestApproved, allowed.agreementRevisions.two]).toEqual([true, back]);
    }
  });

  it("gives no rights by a document that is corrupt or not what it should be, and goes on for the others", async () => {
    const wrong = [
      "{not json",
      '"text"',
      JSON.stringify({ ...agreement("two"), relations: [] }),
      JSON.stringify(agreement("another")),
    ];
    for (const value of wrong) {
      await promisify(execFile)(
        findProgram("etcdctl"),
        ["--endpoints", server.endpoint, "put", KEY.agreement("two"), value],
        {
          env: { ...process.env, ETCDCTL_API: "3" },
        },
      );
      const { revision } = await store.list("/policyEnforcer/");
      const [both, one] = await Promise.all([
        ask({ leastRevision: revision }),
        ask({ leastRevision: revision, dataProviders: ["one"] }),
      ]);
      expect(both.reasons).toMatchObject([{ code: "POL-PROVIDER-UNKNOWN", party: "two" }]);
      expect(one.requestApproved).toBe(true);
    }
    const leastRevision = await store.put(KEY.agreement("two"), agreement("two"));
    expect((await ask({ leastRevision })).requestApproved).toBe(true);
  });

  it("survives restarts of the store and of the broker, and answers what waited", async () => {
    await server.restart();
    const leastRevision = await store.put(KEY.agreement("two"), agreement("two", {}));
    // Until its watch is back the answer is that it knows too little: never one by what it knew.
    const decided = async () => {
      const answer = await ask({ leastRevision });
      expect(answer.requestApproved).toBe(false);
      if (answer.error !== "") expect(JSON.parse(answer.error)).toMatchObject({ code: "STO-BEHIND" });
      return answer.error === "";
    };
    await until("it knows the change", decided, 10);
    expect(JSON.parse((await ask({ leastRevision: leastRevision + 1000 })).error)).toMatchObject({
      code: "STO-BEHIND",
    });
    await server.kill9();
    // Without the store it decides by what it knows: a round could not be opened with it (rounds.test.ts).
    expect((await ask()).requestApproved).toBe(false);
    await server.restart();
    const back = await store.put(KEY.agreement("two"), agreement("two"));
    await until("it knows the change", async () => (await ask({ leastRevision: back })).requestApproved, 10);

    await broker.kill9();
    await until("it knows that the broker is away", async () => !(await healthy()));
    await broker.restart();
    await until("both are back", async () => bus.up && (await healthy()), 60);
    expect((await ask()).requestApproved).toBe(true);
    expect(enforcer.exitCode).toBeNull();
  }, 120_000);

  it("answers after a restart of its own what was asked while it was away, and ends cleanly", async () => {
    const round = (n: number) => ({
      jobId: "restarted",
      round: n,
      archetypeId: "through",
      computeProvider: "server",
    });
    const old = await ask(round(1));
    enforcer.kill("SIGTERM");
    expect(await once(enforcer, "exit")).toEqual([0, null]);
    const waiting = Array.from({ length: 20 }, () => ask());
    enforcer = startEnforcer().child;
    expect((await Promise.all(waiting)).every((r) => r.requestApproved)).toBe(true);
    // A grant of the old process holds until it expires.
    const verifier = await GrantVerifier.open(store);
    const now = await ask(round(2));
    for (const { auth } of [old, now])
      expect(await verifier.verify(auth?.accessToken ?? "")).toMatchObject({ sub: "ada@uva.nl" });
    await verifier.close();
  }, 60_000);

  it("cannot start: one coded line, exit code 1", async () => {
    writeFileSync(join(folder, "wrong"), "wrong", { mode: 0o600 });
    const cases = [
      [{ AMQP_PASSWORD_FILE: join(folder, "wrong") }, "BUS-AUTH"],
      [{ AMQP_PORT: "many", HTTP_PORT: "" }, "CFG-INVALID"],
      [{}, "CFG-PORT"], // it is in use by the running one
    ] as const;
    await until("the running one is ready", healthy);
    for (const [more, code] of cases) {
      const { child, output } = startEnforcer(more);
      expect(await once(child, "exit")).toEqual([1, null]);
      const lines = output()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ level: "fatal", code });
    }
  }, 60_000);
});

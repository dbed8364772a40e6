import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import type { FastifyInstance } from "fastify";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { registerAudit } from "../../../dynamos/cli/audit.js";
import { recordsOf } from "../../../dynamos/cli/audit-files.js";
import type { CommandContext } from "../../../dynamos/cli/context.js";
import { OPERATOR_TOKEN } from "../../../dynamos/services.js";
import { identityOf } from "../../../infra/local/os-process.js";
import { StateFolder } from "../../../infra/local/state-folder.js";
import type { AuditRecord } from "../../../policy/contract/audit.js";
import { verifyAudit, type Witness } from "../../../policy/contract/audit-verify.js";
import { ENFORCER_QUEUE, KEY, MESSAGE, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import {
  type Draft,
  decode,
  encode,
  type RequestApproval,
  type ValidationResponse,
} from "../../../policy/contract/wire.js";
import { JobTable } from "../../../policy/jobs/job-log.js";
import { createApi } from "../../../policy/orchestrator/api.js";
import { Bus } from "../../../policy/platform/bus.js";
import { createLogger } from "../../../policy/platform/log.js";
import { Store } from "../../../policy/platform/store.js";
import { bundle } from "../../support/bundle.js";
import { enforcerEnvironment, isHealthy } from "../../support/enforcer.js";
import {
  freePorts,
  startBroker,
  startStore,
  type TestBroker,
  type TestStore,
  until,
} from "../../support/servers.js";

const log = createLogger("test", process.env.TEST_LOG ?? "fatal");
let broker: TestBroker;
let server: TestStore;
let store: Store;
let bus: Bus;
let api: FastifyInstance;
let folder: string;
/** Where the enforcer's folder is in a stack's state folder. */
let state: StateFolder;
let auditFolder: string;
let http: string;
let enforcer: ChildProcess;
/** Every answer, by the correlation id of its request. */
const answers = new Map<string, ValidationResponse[]>();
let number = 0;

const agreement = (name: string, users: readonly string[] = ["ada@uva.nl"]) => ({
  name,
  relations: Object.fromEntries(
    users.map((user) => [
      user,
      {
        ID: "1",
        requestTypes: ["train"],
        allowedArchetypes: ["through"],
        allowedComputeProviders: ["server"],
      },
    ]),
  ),
  computeProviders: ["server"],
  archetypes: ["through"],
});

async function send(more: Draft<RequestApproval> = {}): Promise<string> {
  number += 1;
  const correlationId = `call-${number}`;
  const body = encode.requestApproval({
    type: "train",
    user: { id: "1", userName: "ada@uva.nl" },
    dataProviders: ["one"],
    ...more,
  });
  await bus.publish(ENFORCER_QUEUE, MESSAGE.requestApproval, body, { correlationId });
  return correlationId;
}

async function ask(more: Draft<RequestApproval> = {}): Promise<{ id: string; answer: ValidationResponse }> {
  const id = await send(more);
  await until(`an answer to ${id}`, () => answers.has(id));
  const answer = answers.get(id)?.at(-1);
  if (answer === undefined) throw new Error("it was there");
  return { id, answer };
}

/** @param blocks - 512 bytes each: no file of the process may grow beyond, as on a full disk */
function startEnforcer(blocks?: number): ChildProcess {
  const limit = blocks === undefined ? "" : `ulimit -S -f ${blocks}; `;
  return spawn("sh", ["-c", `${limit}exec "$0" "$@"`, process.execPath, join(folder, "main.js")], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...enforcerEnvironment(broker, server, folder, new URL(http).port), AUDIT_FOLDER: auditFolder },
  });
}

const healthy = () => isHealthy(http);

async function end(signal: NodeJS.Signals): Promise<void> {
  if (enforcer.exitCode !== null || enforcer.signalCode !== null) return;
  const gone = once(enforcer, "exit");
  enforcer.kill(signal);
  await gone;
}

function readAudit(): AuditRecord[] {
  return readdirSync(auditFolder)
    .sort()
    .flatMap((name) => recordsOf(readFileSync(join(auditFolder, name))));
}

async function verify() {
  const { port } = api.server.address() as { port: number };
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/audit/checkpoints`, {
    headers: { authorization: `Bearer ${state.secret(OPERATOR_TOKEN)}` },
  });
  const files = readdirSync(auditFolder)
    .sort()
    .map((name) => ({ name, read: () => readFileSync(join(auditFolder, name)) }));
  return verifyAudit(files, (await response.json()) as Witness);
}

/** Runs the command in this process; answers what it printed and its exit code. */
async function command(...args: string[]): Promise<{ text: string; error?: unknown }> {
  const program = new Command("dynamos-fabric").exitOverride();
  registerAudit(program, () => ({ state: state.path }) as CommandContext);
  let text = "";
  const out = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await program.parseAsync(["audit", ...args], { from: "user" });
    return { text };
  } catch (error) {
    return { text, error };
  } finally {
    out.mockRestore();
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "enforcer-audit-"));
  writeFileSync(join(folder, "password"), "guest", { mode: 0o600 });
  state = new StateFolder(join(folder, "state"));
  state.prepare();
  [broker, server] = await Promise.all([
    startBroker(),
    startStore(),
    bundle("policy/enforcer/main.ts", join(folder, "main.js")),
  ]);
  http = `http://127.0.0.1:${(await freePorts(1))[0]}`;
  store = await Store.connect({ endpoint: server.endpoint, log });
  const { host, port } = broker;
  bus = await Bus.connect({ host, port, user: "guest", password: "guest", service: "orchestrator" });
  await bus.consume(ORCHESTRATOR_QUEUE, async (m) => {
    const id = m.correlationId ?? "";
    answers.set(id, [...(answers.get(id) ?? []), decode(MESSAGE.validationResponse, m.body)]);
    return "ack";
  });
  for (const name of ["one", "server"]) await store.put(KEY.agreement(name), agreement(name));
  const archetype = { name: "through", computeProvider: "other", resultRecipient: "requestor", weight: 1 };
  await store.put(KEY.archetype("through"), archetype);
  await store.put(KEY.requestType("train"), { name: "train", requiredServices: [] });
  api = createApi({
    log,
    store,
    jobs: new JobTable(),
    find: async () => undefined,
    cancel: async () => undefined,
    agents: () => [],
    operatorToken: state.secret(OPERATOR_TOKEN),
    ready: () => true,
  });
  await api.listen({ host: "127.0.0.1", port: 0 });
  // The stack as its supervisor would have recorded it: this process stands for both.
  const service = (name: string, ports: Record<string, number>) => {
    const run = { ...identityOf(process.pid), since: new Date().toISOString(), logOffset: 0, given: {} };
    const spec = { name, node: "core", command: ["x"], ready: { tcp: "http" } };
    return [
      name,
      { spec, specHash: "", wanted: "running", state: "ready", ports, restarts: 0, run },
    ] as const;
  };
  const { port: apiPort } = api.server.address() as { port: number };
  state.saveServices(
    new Map([service("policy-enforcer", {}), service("orchestrator", { http: apiPort })]) as never,
  );
  auditFolder = join(state.serviceFolder({ name: "policy-enforcer", node: "core" }), "audit");
  mkdirSync(join(auditFolder, ".."), { recursive: true });
}, 120_000);

afterEach(() => end("SIGKILL"));

afterAll(async () => {
  await api.close();
  await bus.close();
  await store.close();
  await Promise.all([broker.stop(), server.stop()]);
  rmSync(folder, { recursive: true });
}, 60_000);

describe("the policy enforcer's audit", () => {
  it("has a decision, its round and its grant, and each change of an agreement, but no grant's text", async () => {
    enforcer = startEnforcer();
    await until("the enforcer is ready", healthy);
    const round = { jobId: "job-1", round: 1, archetypeId: "through", computeProvider: "server" };
    const { id, answer } = await ask(round);
    const left = await store.put(KEY.agreement("one"), agreement("one", ["eve@uva.nl"]));
    const denied = await ask({ leastRevision: left });
    const gone = await store.delete(KEY.agreement("one"));
    await ask({ leastRevision: gone });
    const back = await store.put(KEY.agreement("one"), agreement("one"));
    await ask({ leastRevision: back });
    await end("SIGTERM");

    const records = readAudit();
    const of = (call: string) => records.filter((r) => r.facts.id === call);
    const token = answer.auth?.accessToken ?? "";
    const { jti } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
      jti: string;
    };
    expect(of(id)).toMatchObject([
      {
        kind: "decision",
        facts: {
          job: "job-1",
          round: 1,
          user: "ada@uva.nl",
          answer: "allow",
          agreements: answer.agreementRevisions,
        },
      },
      { kind: "round", facts: { job: "job-1", round: 1, token: answer.token } },
      { kind: "grant", facts: { jti, token: answer.token, agreements: answer.agreementRevisions } },
    ]);
    expect(of(denied.id)).toMatchObject([
      { kind: "decision", facts: { answer: "deny", reasons: [{ code: "POL-NO-AGREEMENT", party: "one" }] } },
    ]);
    expect(
      records.filter((r) => r.kind === "agreement").map((r) => [r.facts.change, r.facts.revision]),
    ).toEqual([
      ["written", left],
      ["taken away", gone],
      ["written", back],
    ]);
    const text = readdirSync(auditFolder).map((name) => readFileSync(join(auditFolder, name), "utf8"));
    expect(token.length).toBeGreaterThan(100);
    expect(text.join("")).not.toContain(token.split(".")[2]);
    expect(await verify()).toMatchObject({
      problems: [],
      chains: [{ records: records.length, vouched: records.length }],
    });
  }, 60_000);

  it("misses no answered decision after kill -9 under load", async () => {
    const sent: string[] = [];
    for (let kill = 0; kill < 3; kill += 1) {
      enforcer = startEnforcer();
      await until("the enforcer is ready", healthy);
      const before = answers.size;
      const sending = Promise.all(
        Array.from({ length: 300 }, (_, i) =>
          send({ jobId: `load-${kill}`, round: i + 1, archetypeId: "through", computeProvider: "server" }),
        ),
      );
      await until("some are answered", () => answers.size > before + 20 + 60 * kill);
      await end("SIGKILL");
      sent.push(...(await sending));
    }
    enforcer = startEnforcer();
    await until("all are answered", () => sent.every((id) => answers.has(id)), 60);
    await until("none is left in the queue", async () => (await ask()).answer.requestApproved, 60);
    await end("SIGTERM");
    const recorded = new Map(
      readAudit().flatMap((r) => (r.kind === "decision" ? [[String(r.facts.id), r.facts.answer]] : [])),
    );
    expect(sent.filter((id) => recorded.get(id) !== "allow")).toEqual([]);
    // Decided again under the same id, a round has one token. (An answer that says that it could not be opened in time has none.)
    const tokensOf = (id: string) =>
      new Set(answers.get(id)?.flatMap(({ token }) => (token > 0 ? [token] : [])));
    for (const id of sent) expect(tokensOf(id).size).toBeLessThanOrEqual(1);
    expect(sent.filter((id) => tokensOf(id).size === 1).length).toBeGreaterThan(sent.length / 2);
    const { problems, chains } = await verify();
    expect([problems, chains.length]).toEqual([[], 1]);
  }, 180_000);

  it("stops decisions while its disk is full, lives, and goes on when there is room", async () => {
    enforcer = startEnforcer(16);
    await until("the enforcer is ready", healthy);
    const allowed: string[] = [];
    let refused: ValidationResponse | undefined;
    await until("the disk is full", async () => {
      const { id, answer } = await ask();
      if (answer.requestApproved) allowed.push(id);
      else refused = answer;
      return refused !== undefined;
    });
    expect(JSON.parse(refused?.error ?? "")).toMatchObject({ code: "AUD-UNWRITABLE" });
    expect([refused?.auth?.accessToken ?? "", refused?.reasons]).toEqual(["", []]);
    expect([enforcer.exitCode, await healthy()]).toEqual([null, false]);
    await promisify(execFile)("prlimit", ["--pid", String(enforcer.pid), "--fsize=unlimited:"]);
    await until("it goes on", healthy);
    const after = await ask();
    expect(after.answer.requestApproved).toBe(true);
    await end("SIGTERM");
    const recorded = new Set(readAudit().map((r) => r.facts.id));
    expect([...allowed, after.id].filter((id) => !recorded.has(id))).toEqual([]);
    expect((await verify()).problems).toEqual([]);
  }, 60_000);

  it("is left alone by a second process of the same enforcer, which cannot start", async () => {
    const old = readdirSync(auditFolder).length;
    enforcer = startEnforcer();
    await until("the enforcer is ready", healthy);
    await until("its segment is there", () => readdirSync(auditFolder).length > old);
    const before = readdirSync(auditFolder);
    const second = startEnforcer();
    expect(await once(second, "exit")).toEqual([1, null]);
    expect(readdirSync(auditFolder)).toEqual(before);
    expect((await ask()).answer.requestApproved).toBe(true);
    await end("SIGTERM");
    expect((await verify()).problems).toEqual([]);
  }, 60_000);

  it("is verified, exported and shown by the command, which names the first broken record", async () => {
    enforcer = startEnforcer();
    await until("the enforcer is ready", healthy);
    const { id } = await ask({ user: { id: "2", userName: "=eve" } });
    await end("SIGTERM");
    const good = await command("verify");
    expect(good.error).toBeUndefined();
    expect(good.text).toMatch(
      /^chain \S+: (\d+) records in \d+ segments hold, signed checkpoints up to \1\n$/,
    );

    const { text } = await command("export", "--user", "=eve", "--since", "1h");
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { kind: "decision", facts: { id, answer: "deny" }, hash: expect.stringMatching(/^[\w-]{43}$/) },
    ]);
    const csv = (await command("export", "--format", "csv", "--user", "=eve")).text.split("\r\n");
    expect([csv.length, csv[0]?.split(",")[0], csv[1]?.includes(",'=eve,")]).toEqual([3, "chain", true]);
    expect(
      (await command("export", "--job", "job-1", "--party", "server")).text.trim().split("\n"),
    ).toHaveLength(3);
    expect((await command("tail", "-n", "2")).text.trim().split("\n")).toHaveLength(2);
    expect((await command("export", "--since", "yesterday")).error).toMatchObject({ code: "SPEC-VALUE" });

    const [first = ""] = readdirSync(auditFolder).sort();
    const file = join(auditFolder, first);
    const original = readFileSync(file, "utf8");
    try {
      writeFileSync(file, original.replace('"answer":"deny"', '"answer":"allow"'));
      const bad = await command("verify");
      const seq = recordsOf(Buffer.from(original)).find((r) => r.facts.answer === "deny")?.seq;
      expect(bad.error).toMatchObject({
        code: "AUD-BROKEN",
        message: expect.stringContaining(`record ${seq}:`),
      });
      expect((await command("verify", "--offline")).error).toMatchObject({ code: "AUD-BROKEN" });
    } finally {
      writeFileSync(file, original);
    }
  }, 60_000);
});

import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FabricApi } from "../../../infra/fabric/api.js";
import { parseScenario, type ScenarioInput } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { texts } from "../../../infra/fabric/emulator/texts.js";
import { writeGraphml } from "../../../infra/fabric/graphml.js";
import type { InfraError } from "../../../infra/problem.js";
import { fabnetSlice } from "../../unit/emulator/graphs.js";
import { makeToken } from "./token.js";
import { until } from "./until.js";

const admin = "the-admin-token";
const graph = writeGraphml(fabnetSlice([{ name: "one", site: "AMST" }]));
const leaseEnd = "2099-01-01 00:00:00 +0000";

let app: FastifyInstance;
let url: string;
let api: FabricApi;
let store = memoryStore();

async function start(scenario: ScenarioInput = {}): Promise<void> {
  app = buildEmulator({ scenario: parseScenario(scenario), store, adminToken: admin });
  url = await app.listen({ port: 0, host: "127.0.0.1" });
  api = new FabricApi({ host: url, token: () => makeToken(), readSeconds: 60 });
}
beforeEach(async () => {
  store = memoryStore();
  await start();
});
afterEach(() => app.close());

interface Seen {
  readonly slices: readonly { readonly name: string; readonly state: string }[];
  readonly faults: Readonly<Record<string, { readonly seen: number; readonly struck: number }>>;
  readonly calls: readonly Readonly<Record<string, unknown>>[];
}

async function ask(method: string, path: string, body?: unknown, token: string | null = admin) {
  const response = await fetch(`${url}/emulator${path}`, {
    method,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as unknown };
}
const look = async () => (await ask("GET", "/state")).body as Seen;
const create = (name: string) => api.createSlice({ name, graph, sshKeys: ["k"], leaseEnd });
const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => "done",
    (error: InfraError) => error.code,
  );

describe("the admin routes", { timeout: 60_000 }, () => {
  it("are there only for who has the token, and only when the emulator was started with one", async () => {
    for (const token of [null, "wrong", makeToken()])
      expect((await ask("GET", "/state", undefined, token)).status).toBe(401);
    expect((await ask("GET", "/state")).status).toBe(200);
    await app.close();
    app = buildEmulator({ scenario: parseScenario(), store });
    url = await app.listen({ port: 0, host: "127.0.0.1" });
    expect((await ask("GET", "/state")).status).toBe(404);
  });

  it("give another scenario, change parts of it, and take it back; a restart keeps it", async () => {
    expect((await ask("PUT", "/scenario", { maintenance: true, seed: 7 })).status).toBe(200);
    expect(await codeOf(create("abc"))).toBe("FAB-MAINTENANCE");
    await app.close();
    await start();
    expect(await codeOf(create("abc"))).toBe("FAB-MAINTENANCE");
    expect((await ask("PATCH", "/scenario", { maintenance: null, latency: { ms: 1 } })).body).toEqual({
      seed: 7,
      latency: { ms: 1 },
    });
    expect(await codeOf(create("abc"))).toBe("done");
    expect((await ask("DELETE", "/scenario")).body).toEqual({});
  });

  it("refuse a scenario that is none, and stay as they were", async () => {
    const wrong = await ask("PATCH", "/scenario", {
      faults: [{ calls: "nothing", fault: { kind: "drop" } }],
    });
    expect(wrong.status).toBe(400);
    expect((wrong.body as { detail: string }).detail).toContain("faults.0.calls  FAB-EMU-SCENARIO");
    expect((await ask("POST", "/faults", { calls: "create" })).status).toBe(400);
    expect((await ask("POST", "/faults", "x")).status).toBe(400);
    expect((await ask("DELETE", "/faults/none")).status).toBe(404);
    expect(await codeOf(create("abc"))).toBe("done");
  });

  it("put a clock forward: a lease ends", async () => {
    await create("abc");
    await until("StableOK", look, (s) => s.slices[0]?.state === "StableOK");
    await ask("PATCH", "/scenario", { clockAheadMs: 20 * 24 * 3_600_000 });
    expect((await look()).slices.map((s) => s.state)).toEqual(["Dead"]);
  });
});

describe("a fault that is switched on", { timeout: 60_000 }, () => {
  const on = async (rule: object) => await ask("POST", "/faults", rule);

  it("refuses before or after the call did its work, in the real words", async () => {
    expect((await on({ calls: "create", times: 1, fault: { kind: "refuse", text: texts.database } })).body).toEqual({ names: ["fault-1"] }); // biome-ignore format: one line
    await on({ calls: "create", times: 1, fault: { kind: "refuse", when: "after", text: texts.noBroker } });
    expect(await codeOf(create("abc"))).toBe("FAB-SERVER");
    expect((await look()).slices).toEqual([]);
    expect(await codeOf(create("abc"))).toBe("FAB-SERVER");
    const state = await look();
    expect(state.slices.map((s) => s.name)).toEqual(["abc"]);
    expect(state.faults).toEqual({ "fault-1": { seen: 2, struck: 1 }, "fault-2": { seen: 2, struck: 1 } });
    expect(state.calls.map((c) => [c.name, c.slice, c.status, c.fault])).toEqual([
      ["create", "abc", 500, "fault-1"],
      ["create", "abc", 500, "fault-2"],
    ]);
  });

  it("names the slice in its text", async () => {
    await create("abc");
    const [slice] = await api.slices();
    await on({ calls: "modify", fault: { kind: "refuse", text: texts.notStableModify } });
    await expect(api.modify(slice?.sliceId ?? "", graph)).rejects.toThrow(
      `Unable to modify Slice# ${slice?.sliceId} that is not yet stable, try again later`,
    );
  });

  it.each([
    ["drop", { kind: "drop", when: "after" }, "FAB-UNREACHABLE", 1],
    ["drop before", { kind: "drop" }, "FAB-UNREACHABLE", 0],
    ["proxy", { kind: "proxy", when: "after", status: 504 }, "FAB-UNREACHABLE", 1],
    ["hang", { kind: "hang", when: "after", ms: 50 }, "FAB-UNREACHABLE", 1],
    ["cut", { kind: "cut" }, "FAB-UNREACHABLE", 1],
    ["half-json", { kind: "half-json", share: 0.9 }, "FAB-ANSWER", 1],
    ["html", { kind: "html" }, "FAB-ANSWER", 1],
    ["huge", { kind: "huge", megabytes: 70 }, "FAB-ANSWER", 1],
    ["delay", { kind: "delay", ms: 50 }, "done", 1],
  ])(
    "%s: an answer is lost, a slice is made or not, and later calls are well",
    async (_, fault, code, made) => {
      await on({ calls: "create", times: 1, fault });
      expect(await codeOf(create("abc"))).toBe(code);
      expect(await api.slices()).toHaveLength(made);
    },
  );

  it("shows a call that is held: its work is done, its answer is not out", async () => {
    await on({ name: "hold", calls: "create", fault: { kind: "hang", when: "after" } });
    const call = codeOf(create("abc"));
    const held = await until("held call", look, (s) => s.slices.length === 1);
    expect(held.calls).toMatchObject([{ name: "create", fault: "hold", done: false }]);
    await app.close();
    expect(await call).toBe("FAB-UNREACHABLE");
    await start();
    expect(await api.slices()).toHaveLength(1);
  });

  it("is met by readers with patience, and taken away again", async () => {
    await create("abc");
    await on({ name: "away", calls: "reads", times: 3, fault: { kind: "proxy", status: 503 } });
    expect(await api.slices()).toHaveLength(1);
    await on({ name: "for-ever", calls: "slices", fault: { kind: "drop" } });
    expect(await codeOf(api.slices())).toBe("FAB-UNREACHABLE");
    expect((await ask("DELETE", "/faults/for-ever")).status).toBe(200);
    expect(await api.slices()).toHaveLength(1);
  });

  it("fails slivers by name", async () => {
    const { body } = await ask("POST", "/sliver-faults", [{ element: "one", times: 1, fault: { kind: "fail", text: "no luck" } }]); // biome-ignore format: one line
    expect(body).toEqual({ names: ["sliver-1"] });
    await create("abc");
    const seen = await until("end", look, (s) => ["Closing", "Dead"].includes(s.slices[0]?.state ?? ""));
    expect(JSON.stringify(seen.slices)).toContain('"error":"no luck"');
  });
});

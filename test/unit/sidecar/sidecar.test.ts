import { describe, expect, it } from "vitest";
import { packParts, unpackParts } from "../../../policy/contract/parts.js";
import { CodedError } from "../../../policy/contract/problem.js";
import {
  type Draft,
  decode,
  encode,
  type MicroserviceCommunication,
  packRequest,
} from "../../../policy/contract/wire.js";
import { createLogger } from "../../../policy/platform/log.js";
import { Ledger } from "../../../policy/sidecar/ledger.js";
import { Microservice } from "../../../policy/sidecar/microservice.js";
import type { Handler, StepInput } from "../../../policy/sidecar/step.js";

const input = (round: number, step = "count"): StepInput => ({
  round,
  step,
  attempt: 1,
  request: {},
  data: {},
  parts: {},
  files: {},
  steward: "alpha",
  dataFolder: "/data",
  dataSets: [],
  columns: {},
  access: {},
  job: "job-1",
  role: "dataProvider",
});

describe("Ledger", () => {
  it("does a step of a round once, also when it is asked again while it works, and also when it failed", async () => {
    let times = 0;
    const ledger = new Ledger({
      count: async () => ({ data: { times: ++times } }),
      fail: () => {
        times += 1;
        throw new Error("no");
      },
    });
    const [first, second] = await Promise.all([ledger.work(input(1)), ledger.work(input(1))]);
    expect(first.output.data).toEqual({ times: 1 });
    expect(second).toBe(first);
    expect(await ledger.work(input(1))).toBe(first);
    const failed = await ledger.work(input(1, "fail"));
    expect(failed.problem).toMatchObject({ code: "JOB-FAILED", message: "round 1: no" });
    expect(await ledger.work(input(1, "fail"))).toBe(failed);
    expect(times).toBe(2);
  });

  it("does steps one after the other", async () => {
    const order: string[] = [];
    const slow: Handler = async ({ round }) => {
      order.push(`begin ${round}`);
      await new Promise((done) => setImmediate(done));
      order.push(`end ${round}`);
      return {};
    };
    const ledger = new Ledger({ count: slow });
    await Promise.all([ledger.work(input(1)), ledger.work(input(2))]);
    expect(order).toEqual(["begin 1", "end 1", "begin 2", "end 2"]);
  });

  it("refuses a step it does not have and a round long past; it keeps no more than two rounds", async () => {
    const ledger = new Ledger({ count: () => ({}) });
    for (const step of ["other", "constructor", "toString"])
      expect((await ledger.work(input(1, step))).problem?.code).toBe("JOB-STEP-UNKNOWN");
    for (let round = 1; round <= 4; round += 1) await ledger.work(input(round));
    expect((await ledger.work(input(3))).problem).toBeUndefined();
    expect((await ledger.work(input(2))).problem?.code).toBe("JOB-ROUND-PAST");
  });

  it("measures how long the handler worked", async () => {
    const ledger = new Ledger({ count: () => new Promise((done) => setTimeout(() => done({}), 20)) });
    const { computeMs } = await ledger.work(input(1));
    expect(computeMs).toBeGreaterThan(15);
    expect(computeMs).toBeLessThan(2_000);
  });
});

describe("Microservice", () => {
  const make = (handlers: Record<string, Handler>) =>
    new Microservice(
      new Ledger(handlers),
      { job: "job-1", steward: "alpha", dataFolder: "/data" },
      // Its own test: grant-check.test.ts.
      { check: async () => ({ dataSets: ["titanic"], columns: { titanic: ["age"] } }) as never },
      createLogger("test", "fatal"),
    );
  const message = (change: Draft<MicroserviceCommunication> = {}): Uint8Array =>
    encode.microserviceCommunication({
      type: "microserviceCommunication",
      requestType: "count",
      metadata: { round: "2", step: "count", role: "dataProvider" },
      originalRequest: packRequest({ type: "count", data: { rate: 0.5, nested: { list: [1, "a", null] } } }),
      requestMetadata: { returnAddress: "alpha-in", correlationId: "c", jobId: "job-1" },
      ...change,
    });
  const ask = async (handlers: Record<string, Handler>, body: Uint8Array) => {
    const reply = await make(handlers).answer(body);
    return { reply, answer: decode("microserviceCommunication", reply.body) };
  };

  it("gives the handler what came, and sends back what it says", async () => {
    let seen: StepInput | undefined;
    const body = message({
      data: { embed: { beta: { rows: 3 } } },
      result: packParts({ beta: Float64Array.of(1, 2) }),
    });
    const { reply, answer } = await ask(
      {
        count: (given) => {
          seen = given;
          return { data: { ok: true, none: undefined }, parts: { beta: Float64Array.of(3) } };
        },
      },
      body,
    );
    expect(seen).toMatchObject({
      round: 2,
      step: "count",
      request: { rate: 0.5, nested: { list: [1, "a", null] } },
      data: { embed: { beta: { rows: 3 } } },
      steward: "alpha",
      dataSets: ["titanic"],
      columns: { titanic: ["age"] },
      job: "job-1",
      role: "dataProvider",
    });
    expect(seen?.parts.beta).toEqual(Float64Array.of(1, 2));
    expect(reply).toMatchObject({ address: "alpha-in", correlationId: "c", last: false });
    expect(answer.data).toEqual({ ok: true });
    expect(unpackParts(answer.result).beta).toEqual(Float64Array.of(3));
    expect(Number(answer.metadata.computeMs)).toBeGreaterThanOrEqual(0);
    expect(answer.metadata.error).toBeUndefined();
  });

  it("answers ping, and says when it is to end", async () => {
    expect((await ask({}, message({ requestType: "ping" }))).answer.metadata.error).toBeUndefined();
    expect((await ask({}, message({ requestType: "shutdownRequest" }))).reply.last).toBe(true);
  });

  it.each<[string, Record<string, Handler>, Uint8Array]>([
    ["JOB-STEP-UNKNOWN", {}, message()],
    ["JOB-FAILED", { count: () => Promise.reject(new Error("no")) }, message()],
    [
      "MY-CODE",
      { count: () => Promise.reject(new CodedError({ code: "MY-CODE", message: "mine" })) },
      message(),
    ],
    ["JOB-FAILED", { count: () => ({ parts: { a: [1] as never } }) }, message()],
    ["JOB-FAILED", { count: () => ({ data: [1] as never }) }, message()],
    ["JOB-PARTS", { count: () => ({ parts: { "": new Uint8Array() } }) }, message()],
    ["BUS-MALFORMED", {}, message({ metadata: { round: "0", step: "count" } })],
    ["BUS-MALFORMED", {}, message({ metadata: { round: "1" } })],
    ["BUS-MALFORMED", {}, message({ result: new Uint8Array([1, 2, 3]) })],
  ])("answers %s as a coded error without a stack", async (code, handlers, body) => {
    const { answer } = await ask(handlers, body);
    const problem = JSON.parse(answer.metadata.error ?? "null") as Record<string, unknown>;
    expect(problem.code).toBe(code);
    expect(Object.keys(problem)).not.toContain("stack");
  });

  it("rejects bytes that are no message", async () => {
    await expect(make({}).answer(new Uint8Array([255, 255]))).rejects.toMatchObject({
      code: "BUS-MALFORMED",
    });
  });
});

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { garbage, settleAnswer, settleBytes } from "../../../policy/agent/answer.js";
import { resolveEntry } from "../../../policy/agent/entry.js";
import { Handled } from "../../../policy/agent/handled.js";
import { queueOf } from "../../../policy/agent/job.js";
import { removeLeftOvers, startTicks } from "../../../policy/agent/left-overs.js";
import { forMicroservice, readAsked, readWorked, safeName } from "../../../policy/agent/messages.js";
import { MicroserviceCommunication } from "../../../policy/contract/generated/dynamos.js";
import { jobQueue, MESSAGE } from "../../../policy/contract/names.js";
import { packParts, unpackParts, viewParts } from "../../../policy/contract/parts.js";
import { CodedError } from "../../../policy/contract/problem.js";
import { decode, packRequest, unpackRequest } from "../../../policy/contract/wire.js";
import { createLogger } from "../../../policy/platform/log.js";
import { Pending } from "../../../policy/platform/pending.js";

const silent = createLogger("test", "fatal");
const folder = (): string => realpathSync(mkdtempSync(join(tmpdir(), "agent-unit-")));
const codeOf = (act: () => unknown): string | undefined => {
  try {
    act();
    return undefined;
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
};

describe("resolveEntry", () => {
  it("finds a program inside, and none outside however it is named", () => {
    const root = folder();
    const outside = join(folder(), "evil.mts");
    mkdirSync(join(root, "microservices"));
    for (const file of [join(root, "microservices/good.mts"), outside]) writeFileSync(file, "");
    symlinkSync(outside, join(root, "microservices/link.mts"));
    symlinkSync(root, `${root}-alias`);
    expect(resolveEntry(root, "microservices/good.mts")).toBe(join(root, "microservices/good.mts"));
    expect(resolveEntry(`${root}-alias`, "microservices/../microservices/good.mts")).toBe(
      join(root, "microservices/good.mts"),
    );
    for (const entry of [
      "",
      ".",
      "..",
      outside,
      "microservices/link.mts",
      "../evil.mts",
      "microservices/none.mts",
      "a\0b",
    ])
      expect(
        codeOf(() => resolveEntry(root, entry)),
        entry,
      ).toBe("JOB-ENTRY");
  });
});

describe("Handled", () => {
  it("handles a message once, and again only when it was to be tried again", async () => {
    const handled = new Handled();
    let times = 0;
    const handle = async () => {
      times += 1;
      return times === 1 ? ("requeue" as const) : ("ack" as const);
    };
    expect(await handled.once("a", handle)).toBe("requeue");
    expect(await Promise.all([handled.once("a", handle), handled.once("a", handle)])).toEqual(["ack", "ack"]);
    expect(await handled.once("a", handle)).toBe("ack");
    expect(times).toBe(2);
    await expect(handled.once("b", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await handled.once("b", handle)).toBe("ack");
  });
});

describe("messages", () => {
  const asked = MicroserviceCommunication.fromPartial({
    requestType: "vfl",
    metadata: {
      grant: "secret",
      round: "3",
      token: "77",
      steps: JSON.stringify([
        { step: "embed", service: "vflClient", role: "admin" },
        { step: "update", service: "vflClient" },
      ]),
      role: "admin",
    },
    originalRequest: packRequest({ type: "vfl", user: { userName: "ada" } }),
    requestMetadata: { jobId: "job-1", correlationId: "c", returnAddress: "orchestrator-in" },
    result: new Uint8Array([1]),
  });

  it("are read as what they ask", () => {
    expect(readAsked(asked, "alpha")).toEqual({
      round: { job: "job-1", user: "ada", requestType: "vfl", round: 3, token: 77 },
      steps: [
        { agent: "alpha", step: "embed", service: "vflClient" },
        { agent: "alpha", step: "update", service: "vflClient" },
      ],
      grant: "secret",
    });
  });

  it("are refused when they name no round, no steps, no request or no safe name", () => {
    const changed = (change: Partial<MicroserviceCommunication>) =>
      codeOf(() => readAsked({ ...asked, ...change }, "alpha"));
    for (const round of ["0", "-1", "1.5", "", "x"])
      expect(changed({ metadata: { ...asked.metadata, round } })).toBe("BUS-MALFORMED");
    for (const steps of [
      "",
      "{",
      "null",
      "7",
      "{}",
      "[]",
      "[null]",
      '["embed"]',
      '[{"step":"embed"}]',
      '[{"step":1,"service":"a"}]',
    ])
      expect(changed({ metadata: { ...asked.metadata, steps } }), steps).toBe("BUS-MALFORMED");
    const steps = JSON.stringify([{ step: "embed", service: "../vflClient" }]);
    expect(changed({ metadata: { ...asked.metadata, steps } })).toBe("AGT-JOB-NAME");
    expect(changed({ originalRequest: undefined })).toBe("BUS-MALFORMED");
    for (const jobId of ["", "..", "../etc", "a/b", ".hidden", "x".repeat(129)])
      expect(
        changed({
          requestMetadata: { jobId, jobName: "", correlationId: "", destinationQueue: "", returnAddress: "" },
        }),
      ).toBe("AGT-JOB-NAME");
    expect(safeName("jake.jongejans-9ea2e074", "job")).toBe("jake.jongejans-9ea2e074");
  });

  it("reach the microservice with the grant, with the role of the plan and the step's inputs", () => {
    const step = { name: "embed", service: "vflClient", role: "dataProvider", inputs: [] } as const;
    const parts = viewParts(packParts({ beta: Float64Array.of(1, 2) }));
    const body = forMicroservice(
      asked,
      step,
      { data: { a: { beta: { n: 1 } } }, parts },
      {},
      "alpha-in",
      "c2",
    );
    const passed = decode(MESSAGE.microserviceCommunication, body);
    expect(passed.metadata).toEqual({
      round: "3",
      step: "embed",
      service: "vflClient",
      role: "dataProvider",
      grant: asked.metadata.grant,
      access: "{}",
    });
    expect(passed.requestMetadata).toMatchObject({
      returnAddress: "alpha-in",
      correlationId: "c2",
      jobId: "job-1",
    });
    expect(passed.data).toEqual({ a: { beta: { n: 1 } } });
    expect(unpackParts(passed.result)).toEqual({ beta: Float64Array.of(1, 2) });
    expect(unpackRequest(passed.originalRequest)).toEqual(unpackRequest(asked.originalRequest));
  });

  it("of a microservice are its answer, or its problem", () => {
    const answer = MicroserviceCommunication.fromPartial({
      data: { a: 1 },
      metadata: { computeMs: "2.5" },
      result: packParts({ x: Uint8Array.of(9) }),
    });
    const worked = readWorked(answer, 7);
    expect(worked).toMatchObject({ data: { a: 1 }, computeMs: 2.5, startMs: 7 });
    expect(worked.parts.x?.payload).toEqual(Uint8Array.of(9));
    for (const computeMs of ["", "soon", "-1", "NaN"])
      expect(readWorked({ ...answer, metadata: { computeMs } }, 0).computeMs).toBe(0);
    const error = JSON.stringify({ code: "VFL-ROWS", message: "the rows do not fit" });
    expect(codeOf(() => readWorked({ ...answer, metadata: { error } }, 0))).toBe("VFL-ROWS");
  });
});

describe("answers", () => {
  const waiting = () => {
    const answers = new Pending<MicroserviceCommunication>("an answer");
    return { answers, answer: answers.wait("c", 1_000) };
  };

  it("settle who waits", async () => {
    const { answers, answer } = waiting();
    expect(
      settleBytes(
        answers,
        "c",
        MicroserviceCommunication.encode(MicroserviceCommunication.fromPartial({ type: "x" })).finish(),
      ),
    ).toBe(true);
    expect((await answer).type).toBe("x");
    expect(settleBytes(answers, "c", new Uint8Array())).toBe(false);
  });

  it.each([
    [
      "bytes that are no message",
      (answers: Pending<MicroserviceCommunication>) => settleBytes(answers, "c", new Uint8Array([255, 255])),
    ],
    [
      "parts that are none",
      (answers: Pending<MicroserviceCommunication>) =>
        settleAnswer(answers, "c", MicroserviceCommunication.fromPartial({ result: new Uint8Array([1, 2]) })),
    ],
    [
      "an error that is no problem",
      (answers: Pending<MicroserviceCommunication>) =>
        settleAnswer(answers, "c", MicroserviceCommunication.fromPartial({ metadata: { error: "{}" } })),
    ],
    [
      "an error that is no JSON",
      (answers: Pending<MicroserviceCommunication>) =>
        settleAnswer(answers, "c", MicroserviceCommunication.fromPartial({ metadata: { error: "oops" } })),
    ],
  ])("end with JOB-GARBAGE: %s", async (_, settle) => {
    const { answers, answer } = waiting();
    expect(settle(answers)).toBe(true);
    await expect(answer).rejects.toMatchObject({ code: "JOB-GARBAGE" });
  });

  it("say what was wrong", () => {
    expect(garbage(new Error("two parts named x")).message).toContain("two parts named x");
  });
});

describe("queues of a job", () => {
  it("begin with DYNAMOS's name and count on", () => {
    expect(queueOf("job-9", "ClientOne", 1)).toBe(jobQueue("job-9", "ClientOne"));
    expect(queueOf("job-9", "ClientOne", 2)).toBe("job-9clientone2");
  });
});

describe.runIf(process.platform === "linux")("left-overs", () => {
  it("of an earlier agent are ended by pid and start; a pid that now means another is left alone", async () => {
    const work = folder();
    const [own, other] = [spawn("sleep", ["60"]), spawn("sleep", ["60"])];
    try {
      mkdirSync(join(work, "job-1/probe"), { recursive: true });
      writeFileSync(
        join(work, "job-1/probe.pid"),
        JSON.stringify({ pid: own.pid, start: startTicks(own.pid ?? 0) }),
      );
      writeFileSync(join(work, "job-1/other.pid"), JSON.stringify({ pid: other.pid, start: "1" }));
      writeFileSync(join(work, "job-1/torn.pid"), "{");
      const ended = new Promise((done) => own.once("exit", (_code, signal) => done(signal)));
      removeLeftOvers(work, silent);
      expect(await ended).toBe("SIGKILL");
      expect(other.exitCode ?? other.signalCode).toBeNull();
      expect(existsSync(join(work, "job-1"))).toBe(false);
    } finally {
      own.kill("SIGKILL");
      other.kill("SIGKILL");
    }
  });
});

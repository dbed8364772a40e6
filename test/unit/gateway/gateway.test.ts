import { describe, expect, it } from "vitest";
import { decode, encode } from "../../../policy/contract/wire.js";
import { approvedBody, endAnswer, httpStatusOf, refusalOf } from "../../../policy/gateway/answers.js";
import { isTooDeep, MOST_LEVELS } from "../../../policy/gateway/depth.js";
import { untilEnd } from "../../../policy/gateway/until-end.js";
import { JobLog } from "../../../policy/jobs/job-log.js";

const answer = (draft: Parameters<typeof encode.requestApprovalResponse>[0]) =>
  decode("requestApprovalResponse", encode.requestApprovalResponse(draft));

describe("an approval's answer over HTTP", () => {
  it("is an approval, a refusal with its reasons, or a coded failure", () => {
    const approved = answer({
      jobId: "j",
      archetypeId: "a",
      computeProviders: ["c"],
      authorizedProviders: { p: "p:1" },
      revision: 7,
    });
    expect(refusalOf(approved)).toBeUndefined();
    expect(approvedBody(approved)).toEqual({
      jobId: "j",
      archetype: "a",
      computeProviders: ["c"],
      authorizedProviders: { p: "p:1" },
      revision: 7,
      explanation: [],
    });
    const reasons = [{ code: "POL-NO-AGREEMENT", party: "p", path: "x", message: "m" }];
    expect(refusalOf(answer({ error: "no", reasons, revision: 9 }))).toEqual({
      status: 403,
      body: { status: "refused", reasons, revision: 9 },
    });
    const problem = { code: "ORC-ENFORCER-SILENT", message: "m", remedy: "r" };
    expect(refusalOf(answer({ error: JSON.stringify(problem) }))).toEqual({
      status: 504,
      body: { status: "failed", ...problem },
    });
  });

  it("is a failure when it is no answer of ours", () => {
    expect(refusalOf(answer({ error: "plain words" }))).toMatchObject({
      status: 502,
      body: { code: "ORC-UNEXPECTED", message: "plain words" },
    });
    expect(refusalOf(answer({}))).toMatchObject({ status: 502 });
    expect(refusalOf(answer({ error: "null" }))).toMatchObject({ status: 502 });
  });
});

describe("a job's end over HTTP", () => {
  const approved = answer({ jobId: "j", archetypeId: "a", explanation: ["why"] });

  it("keeps the three words apart", () => {
    expect(endAnswer(approved, { status: "completed", rounds: 3, result: { x: 1 } })).toEqual({
      status: 200,
      body: {
        status: "completed",
        jobId: "j",
        archetype: "a",
        rounds: 3,
        explanation: ["why"],
        result: { x: 1 },
      },
    });
    expect(endAnswer(approved, { status: "refused", rounds: 2, reasons: [], revision: 5 })).toEqual({
      status: 403,
      body: { status: "refused", jobId: "j", rounds: 2, reasons: [], revision: 5 },
    });
    expect(
      endAnswer(approved, { status: "failed", rounds: 2, problem: { code: "JOB-DIED", message: "m" } }),
    ).toEqual({
      status: 502,
      body: { status: "failed", code: "JOB-DIED", message: "m", jobId: "j", rounds: 2 },
    });
  });

  it.each([
    ["ORC-DATA", 400],
    ["ORC-REQUEST-TYPE-UNKNOWN", 400],
    ["ORC-JOB-EXISTS", 409],
    ["ORC-AGENT-OFFLINE", 503],
    ["ORC-AGENT-GONE", 503],
    ["STO-UNREACHABLE", 503],
    ["BUS-DOWN", 503],
    ["ORC-AGENT-SILENT", 504],
    ["JOB-TIMEOUT", 504],
    ["STO-TIMEOUT", 504],
    ["AGT-GRANT-JOB", 502],
    ["JOB-FAILED", 502],
  ])("%s is %d", (code, status) => {
    expect(httpStatusOf({ code, message: "" })).toBe(status);
  });
});

describe("depth", () => {
  it("lets through what protobuf can carry, and no more", () => {
    const nested = (levels: number): unknown =>
      levels === 0 ? 1 : levels % 2 === 0 ? { a: nested(levels - 1) } : [nested(levels - 1)];
    expect(isTooDeep({ data: nested(MOST_LEVELS - 1) })).toBe(false);
    expect(isTooDeep({ data: nested(MOST_LEVELS) })).toBe(true);
    const data = nested(MOST_LEVELS - 2) as object;
    const back = decode("request", encode.request({ type: "t", data: { data } }));
    expect(back.data.data).toEqual(data);
    // The deepest that passes through here also passes inside a step's message, which carries the request as bytes.
    const report = decode("microserviceCommunication", encode.microserviceCommunication({ data: { data } }));
    expect(report.data).toEqual({ data });
  });
});

describe("waiting for the end", () => {
  const limits = { idle: 40, hard: 150 };
  const report = (round: number) =>
    ({
      name: "round",
      data: {
        round,
        status: "completed",
        durations: { validate: 0, open: 0, steps: {}, report: 0, total: 0 },
      },
    }) as const;

  it("gives the end, also one that was there before", async () => {
    const log = new JobLog({ jobId: "j", requestType: "t" });
    log.add({ name: "end", data: { status: "completed", rounds: 1 } });
    expect(await untilEnd(log, limits, new AbortController().signal)).toEqual({
      status: "completed",
      rounds: 1,
    });
  });

  it("ends when the job is silent, when it takes too long, and when the client goes", async () => {
    const silent = new JobLog({ jobId: "j", requestType: "t" });
    await expect(untilEnd(silent, limits, new AbortController().signal)).rejects.toMatchObject({
      code: "GW-JOB-SILENT",
    });
    const busy = new JobLog({ jobId: "j", requestType: "t" });
    let round = 0;
    const timer = setInterval(() => busy.add(report(++round)), 10);
    // A patience that no stall of this machine outlasts: what ends the wait is the hard limit.
    const patient = { idle: 60_000, hard: limits.hard };
    await expect(untilEnd(busy, patient, new AbortController().signal)).rejects.toMatchObject({
      code: "GW-JOB-TOO-LONG",
    });
    clearInterval(timer);
    const gone = new AbortController();
    const waiting = untilEnd(new JobLog({ jobId: "j", requestType: "t" }), limits, gone.signal);
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await expect(untilEnd(new JobLog({ jobId: "j", requestType: "t" }), limits, gone.signal)).rejects.toThrow(
      "gone",
    );
  });
});

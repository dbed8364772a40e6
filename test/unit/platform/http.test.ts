import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../../policy/contract/problem.js";
import { createHttp, failed, statusOf } from "../../../policy/platform/health.js";
import { createLogger } from "../../../policy/platform/log.js";

const log = createLogger("test", "silent" as "info");

function app() {
  let ready: true | string = true;
  const http = createHttp({ log, codes: "GW", bodyLimit: 100, ready: () => ready, metrics: new Registry() });
  http.post("/echo", async (request) => request.body);
  http.get("/coded", async () => {
    throw new CodedError({ code: "BUS-DOWN", path: "x", message: "gone", remedy: "wait" });
  });
  http.get("/bug", async () => {
    throw new TypeError("the password is hunter2");
  });
  return {
    http,
    unready: (why: string) => {
      ready = why;
    },
  };
}

describe("a service's HTTP side", () => {
  it("says whether the service does its work", async () => {
    const { http, unready } = app();
    expect((await http.inject("/healthz")).statusCode).toBe(200);
    unready("the message broker is away");
    const answer = await http.inject("/healthz");
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      {
        status: "failed",
        code: "GW-NOT-READY",
        message: "the message broker is away",
        remedy: "wait a moment",
      },
    ]);
    expect((await http.inject("/metrics")).statusCode).toBe(200);
  });

  it.each([
    [
      "malformed JSON",
      { method: "POST", url: "/echo", payload: "{", headers: { "content-type": "application/json" } },
      400,
      "GW-JSON",
    ],
    [
      "an empty body",
      { method: "POST", url: "/echo", headers: { "content-type": "application/json" } },
      400,
      "GW-JSON",
    ],
    [
      "a forged prototype",
      {
        method: "POST",
        url: "/echo",
        payload: '{"__proto__":{"a":1}}',
        headers: { "content-type": "application/json" },
      },
      400,
      "GW-JSON",
    ],
    ["too much", { method: "POST", url: "/echo", payload: { x: "y".repeat(200) } }, 413, "GW-TOO-LARGE"],
    [
      "no JSON",
      { method: "POST", url: "/echo", payload: "a", headers: { "content-type": "text/xml" } },
      415,
      "GW-MEDIA-TYPE",
    ],
    ["an unknown route", { method: "GET", url: "/nowhere" }, 404, "GW-NOT-FOUND"],
    ["a path that is no UTF-8", { method: "GET", url: "/%zz" }, 400, "GW-REQUEST"],
    ["another method", { method: "DELETE", url: "/echo" }, 404, "GW-NOT-FOUND"],
    ["a coded error", { method: "GET", url: "/coded" }, 503, "BUS-DOWN"],
    ["a bug", { method: "GET", url: "/bug" }, 500, "UNEXPECTED"],
  ] as const)("answers %s with a coded body", async (_what, request, status, code) => {
    const answer = await app().http.inject(request);
    expect([answer.statusCode, answer.json()]).toEqual([
      status,
      expect.objectContaining({ status: "failed", code }),
    ]);
    expect(
      Object.keys(answer.json()).filter((k) => !["status", "code", "path", "message", "remedy"].includes(k)),
    ).toEqual([]);
    expect(answer.body).not.toContain("hunter2");
  });

  it("takes statuses from codes", () => {
    const codes = [
      "BUS-NO-ANSWER",
      "STO-TIMEOUT",
      "STO-CONFLICT",
      "ORC-JOB-NOT-FOUND",
      "BUS-DOWN",
      "STO-UNREACHABLE",
      "DOC-SCHEMA",
    ];
    expect(codes.map((code) => statusOf({ code, message: "" }))).toEqual([504, 504, 409, 404, 503, 503, 400]);
    expect(failed({ code: "A", message: "b" })).toEqual({ status: "failed", code: "A", message: "b" });
  });
});

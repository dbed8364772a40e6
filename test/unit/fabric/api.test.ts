import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FabricApi } from "../../../infra/fabric/api.js";
import { noticeOf } from "../../../infra/fabric/api-answers.js";
import { waitUntil } from "../../../infra/fabric/wait.js";
import { InfraError } from "../../../infra/problem.js";

const token = "aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc";
let server: Server;
let api: FabricApi;
let calls: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  calls = [];
  server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    request.resume().on("end", () => answer(request, response));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  api = new FabricApi({
    host: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: () => token,
    readSeconds: 1,
  });
});
afterEach(() => server.close());

const reply =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
  };
async function problem(work: Promise<unknown>): Promise<InfraError> {
  const error: unknown = await work.then(
    () => new Error("no error"),
    (e: unknown) => e,
  );
  if (error instanceof InfraError) return error;
  throw error;
}
const refused = (status: number, details: string) =>
  reply(status, { errors: [{ message: "Internal Server Error", details }], type: "error", size: 1, status });
const slice = (n: number) => ({ slice_id: `id-${n}`, name: `s${n}`, state: "StableOK", graph_id: "g" });

describe("calls that only read", () => {
  it("are tried again when a proxy fails, and only so often", async () => {
    let fails = 2;
    answer = (q, r) =>
      fails-- > 0
        ? reply(503, "<html><body>upstream is away</body></html>")(q, r)
        : reply(200, { data: [slice(1)] })(q, r);
    expect((await api.slice("id-1")).name).toBe("s1");
    expect(calls).toHaveLength(3);
    fails = 99;
    const error = await problem(api.slice("id-1"));
    expect([error.code, error.message.includes("upstream is away")]).toEqual(["FAB-UNREACHABLE", true]);
    expect(calls).toHaveLength(7);
  });

  it("are not tried again when the server refuses", async () => {
    answer = refused(500, "anything");
    expect((await problem(api.slivers("x"))).code).toBe("FAB-SERVER");
    expect(calls).toHaveLength(1);
  });

  it("get all pages", async () => {
    answer = (q, r) => {
      const offset = Number(new URL(q.url ?? "", "http://x").searchParams.get("offset"));
      const size = Math.min(200, 450 - offset);
      reply(200, { data: Array.from({ length: size }, (_, i) => slice(offset + i)), size })(q, r);
    };
    expect((await api.slices({ name: "s" })).map((s) => s.sliceId)).toEqual(
      Array.from({ length: 450 }, (_, i) => `id-${i}`),
    );
    expect(calls).toHaveLength(3);
  });

  it("give up at their time", async () => {
    answer = () => undefined;
    const one = new FabricApi({
      host: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      token: () => token,
      readSeconds: 0.05,
    });
    expect((await problem(one.slice("x"))).message).toContain("no answer within 0.05 s");
    server.closeAllConnections();
  });

  it("do not follow a redirect with the token", async () => {
    answer = reply(302, "", { location: "http://127.0.0.1:1/" });
    expect((await problem(api.slice("x"))).code).toBe("FAB-UNREACHABLE");
  });
});

describe("calls that change something", () => {
  it.each([
    [
      "createSlice",
      () =>
        api.createSlice({
          name: "abc",
          graph: "<graphml/>",
          sshKeys: ["k"],
          leaseEnd: "2026-12-06 10:00:00 +0000",
        }),
    ],
    ["modify", () => api.modify("x", "<graphml/>")],
    ["accept", () => api.accept("x")],
    ["renew", () => api.renew("x", "2026-12-06 10:00:00 +0000")],
    ["deleteSlice", () => api.deleteSlice("x")],
  ])("%s is never sent twice", async (_, call) => {
    answer = reply(503, "");
    expect((await problem(call())).code).toBe("FAB-UNREACHABLE");
    expect(calls).toHaveLength(1);
    answer = (_q, r) => r.socket?.destroy();
    expect((await problem(call())).code).toBe("FAB-UNREACHABLE");
    expect(calls).toHaveLength(2);
  });

  it("never delete all slices by an empty id", async () => {
    await expect(api.deleteSlice("")).rejects.toThrow(RangeError);
    expect(calls).toEqual([]);
  });
});

describe("refusals", () => {
  it.each([
    [500, "Slice dev already exists", "FAB-NAME-TAKEN"],
    [500, "Policy Violation: Your project is lacking Slice.Multisite", "FAB-POLICY"],
    [500, "Unable to modify Slice# x that is not yet stable, try again later", "FAB-UNSTABLE"],
    [500, "Testbed is in maintenance mode", "FAB-MAINTENANCE"],
    [500, "Token is expired", "FAB-AUTH"],
    [401, "Unauthorized", "FAB-AUTH"],
    [404, "User# has no Slices", "FAB-NOT-FOUND"],
    [400, "Not implemented", "FAB-REQUEST"],
    [500, "Service net1 of type FABNetv4 cannot span 2 sites. Limit: 1.", "FAB-SERVER"],
  ])("%i %s is %s, in FABRIC's words", async (status, words, code) => {
    answer = refused(status, words);
    const error = await problem(api.modify("x", ""));
    expect([error.code, error.message.includes(words)]).toEqual([code, true]);
  });

  it("by the web framework, by header only, and without a word", async () => {
    answer = reply(400, {
      detail: "Missing query parameter 'name'",
      status: 400,
      title: "Bad Request",
      type: "about:blank",
    });
    expect((await problem(api.modify("x", ""))).message).toContain("Missing query parameter");
    answer = reply(500, "", { "x-error": "told in the header" });
    expect((await problem(api.modify("x", ""))).message).toContain("told in the header");
    answer = reply(500, "");
    expect((await problem(api.modify("x", ""))).message).toContain("HTTP 500");
  });

  it("never show the token", async () => {
    answer = (q, r) => refused(500, `bad header ${q.headers.authorization} and ${token}`)(q, r);
    const error = await problem(api.modify("x", ""));
    expect(error.message).toContain("bad header");
    expect(error.message).not.toContain("bbbbbbbb");
  });
});

describe("answers that are not understood", () => {
  it.each([
    ["no JSON", "hello"],
    ["another shape", { data: [{ id: 1 }] }],
    ["too many", { data: [slice(1), slice(2)] }],
    ["none", { data: [] }],
  ])("%s", async (_, body) => {
    answer = reply(200, body);
    expect((await problem(api.slice("x"))).code).toBe("FAB-ANSWER");
  });
});

describe("a sliver's notice", () => {
  it("is the reason without the frame", () => {
    const notice =
      "Reservation r1 (Slice s(g) Graph Id:g Owner:o) is in state (Failed,None_), err=Insufficient resources : core";
    expect(noticeOf({ state: "Failed", notice })).toBe("Insufficient resources : core");
    expect(noticeOf({ state: "Failed", notice: "something else" })).toBe("something else");
    expect(noticeOf({ state: "Failed" })).toBe("Failed, without a reason");
  });
});

describe("waitUntil", () => {
  const options = { what: "it", seconds: 0.3, firstMs: 5 };
  const away = new InfraError({ code: "FAB-UNREACHABLE", message: "away" });

  it("looks until there is something", async () => {
    let n = 0;
    expect(await waitUntil(async () => (++n === 3 ? n : undefined), options)).toBe(3);
  });

  it("says what it waited for at the deadline", async () => {
    const error = await problem(waitUntil(async () => undefined, options));
    expect([error.code, error.message]).toEqual(["FAB-TIMEOUT", expect.stringContaining("0.3 s for it")]);
  });

  it("bears a server that is away for a while, not for ever, and no other error", async () => {
    let n = 0;
    const look = async () => {
      if (++n < 4) throw away;
      return n;
    };
    expect(await waitUntil(look, options)).toBe(4);
    expect(
      (await problem(waitUntil(async () => Promise.reject(away), { ...options, unreachableSeconds: 0.05 })))
        .code,
    ).toBe("FAB-UNREACHABLE");
    const other = new InfraError({ code: "FAB-AUTH", message: "no" });
    expect((await problem(waitUntil(async () => Promise.reject(other), options))).code).toBe("FAB-AUTH");
  });
});

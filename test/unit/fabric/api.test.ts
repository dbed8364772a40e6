import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
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
    readSeconds: 30,
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

  it("are tried again when an answer breaks off, in its JSON or in its connection", async () => {
    let n = 0;
    answer = (q, r) => {
      const whole = JSON.stringify({ data: [slice(1)] });
      n++;
      if (n === 1) return reply(200, whole.slice(0, 20))(q, r);
      if (n === 2) {
        r.writeHead(200, { "content-length": String(whole.length) }).write(whole.slice(0, 20));
        return setTimeout(() => r.socket?.destroy(), 10);
      }
      return reply(200, whole)(q, r);
    };
    expect((await api.slice("id-1")).name).toBe("s1");
    expect(calls).toHaveLength(3);
  });

  it("are told to come later by some, and do", async () => {
    let n = 0;
    answer = (q, r) => reply(n++ === 0 ? 429 : 200, { data: [slice(1)] })(q, r);
    expect((await api.slice("id-1")).name).toBe("s1");
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
    [500, "Unauthorized: Token: 0123 is revoked!", "FAB-AUTH"],
    [
      500,
      "Unable to validate provided token: ValidateCode.UNPARSABLE_TOKEN/JWT must have 3 parts",
      "FAB-AUTH",
    ],
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

  it("say for a change that is lost that nobody knows, and what to do", async () => {
    answer = (_q, r) => r.socket?.destroy();
    expect((await problem(api.modify("x", ""))).problems[0]?.remedy).toContain(
      "whether it was done is not known",
    );
  });

  it("never show the token", async () => {
    answer = (q, r) => refused(500, `bad header ${q.headers.authorization} and ${token}`)(q, r);
    const error = await problem(api.modify("x", ""));
    expect(error.message).toContain("bad header");
    expect(error.message).not.toContain("bbbbbbbb");
    const secret = "NB2HI4DTHIXS6Y3JNRXWO33OFZXXE";
    answer = refused(
      500,
      `refresh_token: "${secret}" is spent, ${secret} too, {"refresh_token":"abcdefghijkl"}`,
    );
    const other = await problem(api.modify("x", ""));
    expect(other.message).toContain("is spent");
    expect(other.message).not.toMatch(/NB2HI4|abcdefgh/);
  });
});

describe("answers that are not understood", () => {
  it("a page to log in at: once is enough", async () => {
    answer = reply(200, "<html>Please log in</html>", { "content-type": "text/html; charset=utf-8" });
    const error = await problem(api.slice("x"));
    expect([error.code, error.message]).toEqual(["FAB-ANSWER", expect.stringContaining("a web page")]);
    expect(calls).toHaveLength(1);
  });

  it("one without end, of a call that changes something: not sent again", async () => {
    answer = (_, r) => {
      const more = () => {
        while (!r.destroyed && r.write(Buffer.alloc(1024 * 1024, " ")));
      };
      r.writeHead(200).on("drain", more);
      more();
    };
    const error = await problem(api.modify("x", ""));
    expect([error.code, error.message]).toEqual(["FAB-ANSWER", expect.stringContaining("longer than 64 MB")]);
    expect(calls).toHaveLength(1);
  });

  it("a list that has no last page", async () => {
    answer = reply(200, { data: Array.from({ length: 200 }, (_, i) => slice(i)), size: 200 });
    const error = await problem(api.slices());
    expect([error.code, calls.length]).toEqual(["FAB-ANSWER", 50]);
  });

  it("anything else: a value or a coded error, never another one, and never a token", {
    timeout: 60_000,
  }, async () => {
    const near = fc.record({ data: fc.array(fc.dictionary(fc.constantFrom("slice_id", "name", "state", "model"), fc.jsonValue())) }, { requiredKeys: [] }); // biome-ignore format: one line
    const text = fc.oneof(
      fc.jsonValue().map((v) => JSON.stringify(v)),
      near.map((v) => JSON.stringify(v)),
      near.chain((v) => fc.nat(60).map((n) => JSON.stringify(v).slice(0, n))),
      fc.string({ unit: "binary" }),
    );
    const status = fc.constantFrom(200, 200, 200, 400, 404, 418, 500, 503);
    await fc.assert(
      fc.asyncProperty(
        status,
        text,
        fc.constantFrom("application/json", "text/html", ""),
        async (code, body, type) => {
          answer = (q, r) =>
            reply(code, body + (code === 500 ? q.headers.authorization : ""), { "content-type": type })(q, r);
          const error = await api.accept("x").then(
            () => undefined,
            (e: unknown) => e,
          );
          if (error === undefined) return;
          expect(error).toBeInstanceOf(InfraError);
          expect((error as InfraError).code).toMatch(/^FAB-/);
          expect((error as InfraError).message).not.toContain("bbbbbbbb");
        },
      ),
      { numRuns: 80 },
    );
  });

  it("nested without end", async () => {
    answer = reply(200, `{"data":${"[".repeat(500_000)}${"]".repeat(500_000)}}`);
    expect((await problem(api.slice("x"))).code).toBe("FAB-ANSWER");
  });

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

import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTime } from "../../../infra/fabric/emulator/lease.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { bodyLimit, buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { faultyGraphs } from "../../unit/emulator/faulty.js";
import { fabnetSlice, GraphBuilder, joined } from "../../unit/emulator/graphs.js";
import { makeToken } from "./token.js";
import { until } from "./until.js";

const good = writeGraphml(fabnetSlice([{ name: "one", site: "AMST" }, { name: "two", site: "LOSA" }])); // biome-ignore format: one line

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly data?: readonly Record<string, unknown>[];
    readonly errors?: readonly Record<string, unknown>[];
  } & Record<string, unknown>;
}

describe("the orchestrator's API over HTTP", () => {
  let app: FastifyInstance;
  let url: string;

  beforeAll(async () => {
    app = buildEmulator({ scenario: parseScenario(), store: memoryStore() });
    url = await app.listen({ port: 0, host: "127.0.0.1" });
  });
  afterAll(() => app.close());

  async function ask(
    method: string,
    path: string,
    options: { body?: string; type?: string; token?: string | null; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const token = options.token === undefined ? makeToken() : options.token;
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(options.body === undefined ? {} : { "content-type": options.type ?? "application/json" }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: options.body }),
      redirect: "manual",
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? {} : (JSON.parse(text) as Reply["body"]),
    };
  }

  const create = (name: string, graph = good, query = "") =>
    ask("POST", `/slices/creates?name=${name}${query}`, {
      body: JSON.stringify({ graph_model: graph, ssh_keys: ["ssh-ed25519 AAAA"] }),
    });

  const refusal = (r: Reply) => [r.status, (r.body.errors?.[0] as { details?: string } | undefined)?.details];
  const problem = (r: Reply) => [r.status, r.headers.get("content-type")?.split(";")[0], r.body.detail];

  const idOf = async (name: string) =>
    String((await ask("GET", `/slices?name=${name}&limit=200`)).body.data?.at(-1)?.slice_id);
  const stateOf = async (id: string) =>
    String((await ask("GET", `/slices/${id}?graph_format=NONE`)).body.data?.[0]?.state);
  const stable = async (name: string) => {
    expect((await create(name)).status).toBe(200);
    const id = await idOf(name);
    await until(
      "StableOK",
      () => stateOf(id),
      (s) => s === "StableOK",
    );
    return id;
  };

  it("answers in the orchestrator's envelope, with its headers", async () => {
    const made = await create("envelope");
    expect(made.status).toBe(200);
    expect(Object.keys(made.body)).toEqual(["data", "size", "status", "type"]);
    expect(made.body).toMatchObject({ size: 4, status: 200, type: "slivers" });
    expect(Object.keys(made.body.data?.[0] ?? {})).toEqual([
      "graph_node_id", "join_state", "lease_end_time", "lease_start_time", "notice", "pending_state", "slice_id", "sliver", "sliver_id", "sliver_type", "state",
    ]); // biome-ignore format: a list
    expect(made.body.data?.[0]?.lease_end_time).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000$/);
    expect(made.headers.get("access-control-expose-headers")).toBe("Content-Length, Content-Range, X-Error");
    const found = await ask("GET", "/slices?name=envelope");
    expect(found.body).toMatchObject({ type: "slices", size: 1 });
    expect(Object.keys(found.body.data?.[0] ?? {})).toEqual([
      "graph_id", "lease_end_time", "lease_start_time", "name", "owner_email", "owner_user_id", "project_id", "project_name", "slice_id", "state",
    ]); // biome-ignore format: a list
    const details = await ask("GET", `/slices/${await idOf("envelope")}?graph_format=GRAPHML`);
    expect(details.body.type).toBe("slice_details");
    expect(readGraphml(String(details.body.data?.[0]?.model)).nodes.length).toBeGreaterThan(10);
  });

  it("puts a 400's words inside the error, others' beside, and all in X-Error", async () => {
    const bad = await create("times", good, "&lease_end_time=soon");
    const text = "Lease Time is not in format %Y-%m-%d %H:%M:%S %z";
    expect(bad.body).toEqual({
      errors: [{ message: "Bad Request", details: text, type: "error", size: 1, status: 400 }],
    });
    expect(bad.headers.get("x-error")).toBe(text);
    const missing = await ask("DELETE", "/slices/delete/nope");
    expect(missing.body).toEqual({
      errors: [{ message: "Not Found", details: "Slice# nope not found" }],
      type: "error",
      size: 1,
      status: 404,
    });
  });

  it("refuses what does not carry a token, and tokens it cannot use", async () => {
    expect(problem(await ask("GET", "/slices", { token: null }))).toEqual([
      401,
      "application/problem+json",
      "No authorization token provided",
    ]);
    expect(problem(await ask("GET", "/slices", { token: null, headers: { authorization: "xyz" } }))).toEqual([
      401,
      "application/problem+json",
      "Invalid authorization header",
    ]);
    expect(
      problem(await ask("GET", "/slices", { token: null, headers: { authorization: "Basic abc" } }))[2],
    ).toBe("No authorization token provided");
    expect(refusal(await ask("GET", "/slices", { token: "abc" }))).toEqual([
      500,
      "Unable to validate provided token: ValidateCode.UNPARSABLE_TOKEN/JWT must have 3 parts",
    ]);
    expect(refusal(await ask("GET", "/slices", { token: makeToken({ exp: 1 }) }))).toEqual([
      500,
      "Unable to validate provided token: ValidateCode.INVALID/Signature has expired",
    ]);
    expect((await ask("GET", "/portalresources/summary", { token: null })).status).toBe(200);
    expect((await ask("GET", "/resources/summary", { token: null })).status).toBe(401);
    expect((await ask("GET", "/healthz", { token: null })).status).toBe(200);
  });

  it("refuses bodies that are not what they should be, and lives on", async () => {
    const post = (body: string, type?: string) =>
      ask("POST", "/slices/creates?name=abc", { body, ...(type === undefined ? {} : { type }) });
    expect(problem(await post("{bad"))).toEqual([
      400,
      "application/problem+json",
      "Request body is not valid JSON",
    ]);
    expect(problem(await post("{}"))[2]).toBe("'graph_model' is a required property");
    expect(problem(await post("{}", "text/plain"))).toEqual([
      415,
      "application/problem+json",
      "Invalid Content-type (text/plain), expected JSON data",
    ]);
    expect((await post("x".repeat(bodyLimit + 1))).status).toBe(413);
    expect((await post(`${"[".repeat(200_000)}`)).status).toBe(400);
    for (const graph of [
      "",
      "hello",
      "<graphml>",
      "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
      "<graphml><graph/></graphml>",
      "\u0000",
    ]) {
      const answer = await create("abc", graph);
      expect([graph, answer.status]).toEqual([graph, 500]);
      expect(refusal(answer)[1]).toMatch(/^Unable to load graph: /);
    }
    expect((await ask("GET", "/healthz")).status).toBe(200);
    expect((await ask("GET", "/slices?name=abc")).body.size).toBe(0);
  });

  it("refuses queries that the front refuses", async () => {
    expect(problem(await ask("POST", "/slices/creates", { body: "{}" }))[2]).toBe(
      "Missing query parameter 'name'",
    );
    expect(problem(await create("ab"))[2]).toBe("'ab' is too short");
    expect(problem(await ask("GET", "/slices/x"))[2]).toBe("Missing query parameter 'graph_format'");
    expect(problem(await ask("GET", "/slivers"))[2]).toBe("Missing query parameter 'slice_id'");
    expect(problem(await ask("GET", "/resources"))[2]).toBe("Missing query parameter 'level'");
    expect(problem(await ask("POST", "/slices/renew/x"))[2]).toBe("Missing query parameter 'lease_end_time'");
    expect(problem(await ask("GET", "/nope", { token: null }))[0]).toBe(404);
    expect((await ask("GET", "/poas")).status).toBe(308);
  });

  it("does not know slices that are not there, each call in its words", async () => {
    expect(refusal(await ask("GET", "/slices/x?graph_format=NONE"))).toEqual([404, "User# has no Slices"]);
    expect(refusal(await ask("PUT", "/slices/modify/x", { body: good, type: "text/plain" }))).toEqual([
      404,
      "User# has no Slices",
    ]);
    expect(refusal(await ask("POST", "/slices/modify/x/accept"))).toEqual([404, "User# has no Slices"]);
    const end = encodeURIComponent(writeTime(Date.now() + 9e7));
    expect(refusal(await ask("POST", `/slices/renew/x?lease_end_time=${end}`))).toEqual([
      404,
      "Slice# x not found",
    ]);
    expect(refusal(await ask("DELETE", "/slices/delete/x"))).toEqual([404, "Slice# x not found"]);
    expect(refusal(await ask("GET", "/slivers?slice_id=x"))).toEqual([404, "Slice# x has no reservations"]);
    expect(refusal(await ask("GET", "/slivers/y?slice_id=x"))).toEqual([404, "Reservation# y not found"]);
    expect(refusal(await ask("POST", "/poas/create/y", { body: '{"operation":"reboot"}' }))).toEqual([
      404,
      "Reservation# y not found",
    ]);
  });

  for (const [name, { graph, text }] of Object.entries(faultyGraphs)) {
    it(`refuses ${name} with FIM's words`, async () =>
      expect(refusal(await create("faulty", writeGraphml(graph)))).toEqual([500, text]));
  }

  it("refuses what the project may not do", async () => {
    const token = makeToken({ tags: [] });
    const body = JSON.stringify({
      graph_model: writeGraphml(fabnetSlice([{ name: "one", site: "AMST", cores: 4 }])),
      ssh_keys: [],
    });
    expect(refusal(await ask("POST", "/slices/creates?name=denied", { body, token }))).toEqual([
      500,
      "PDP Failure: PDP Authorization check failed - Policy Violation: Your project is lacking VM.NoLimitCPU or VM.NoLimit tag to provision VM with more than 2 cores.",
    ]);
  });

  it("refuses a second slice of the name, early changes, and a shorter lease", async () => {
    expect((await create("busy")).status).toBe(200);
    const id = await idOf("busy");
    expect(refusal(await create("busy"))).toEqual([500, "Slice busy already exists"]);
    expect(refusal(await ask("PUT", `/slices/modify/${id}`, { body: good, type: "text/plain" }))).toEqual([
      500,
      `Unable to modify Slice# ${id} that is not yet stable, try again later`,
    ]);
    expect(refusal(await ask("DELETE", `/slices/delete/${id}`))).toEqual([
      500,
      `Unable to delete Slices ['${id}'] that are not yet stable, try again later`,
    ]);
    const renew = (ms: number) =>
      ask("POST", `/slices/renew/${id}?lease_end_time=${encodeURIComponent(writeTime(Date.now() + ms))}`);
    expect(refusal(await renew(9e7))).toEqual([
      500,
      `Unable to renew Slice# ${id} that is not yet stable, try again later`,
    ]);
    await until(
      "StableOK",
      () => stateOf(id),
      (s) => s === "StableOK",
    );
    expect(refusal(await renew(3.6e6))).toEqual([
      500,
      "Attempted new term end time is shorter than current slice end time",
    ]);
    expect(refusal(await renew(-3.6e6))[0]).toBe(400);
    const renewed = await renew(9e7);
    expect(renewed.body).toEqual({
      data: [{ details: `Slice '${id}' has been successfully renewed`, message: "No Content" }],
      size: 1,
      status: 200,
      type: "no_content",
    });
    // a plus sign that is not encoded is a space
    expect(
      refusal(await ask("POST", `/slices/renew/${id}?lease_end_time=2030-01-01 00:00:00 +0000`)),
    ).toEqual([400, "Lease Time is not in format %Y-%m-%d %H:%M:%S %z"]);
  });

  it("refuses a modify without the reservation ids it gave out", async () => {
    const id = await stable("ids");
    expect(refusal(await ask("PUT", `/slices/modify/${id}`, { body: good, type: "text/plain" }))).toEqual([
      500,
      "'NoneType' object has no attribute 'reservation_id'",
    ]);
    const model = readGraphml(
      String((await ask("GET", `/slices/${id}?graph_format=GRAPHML`)).body.data?.[0]?.model),
    );
    const wanted = fabnetSlice([{ name: "one", site: "AMST" }, { name: "two", site: "LOSA" }, { name: "six", site: "HAWI" }]); // biome-ignore format: one line
    const changed = await ask("PUT", `/slices/modify/${id}`, {
      body: writeGraphml(joined(model, wanted)),
      type: "text/plain",
    });
    expect(changed.body.data?.map((s) => (s.sliver as { Name: string }).Name)).toEqual(["six", "net-HAWI"]);
    await until(
      "ModifyOK",
      () => stateOf(id),
      (s) => s === "ModifyOK",
    );
    const accepted = await ask("POST", `/slices/modify/${id}/accept`);
    expect(accepted.body.type).toBe("slice_details");
    expect(accepted.body.data?.[0]?.state).toBe("ModifyOK"); // the answer has the state from before
    expect(await stateOf(id)).toBe("StableOK");
  });

  it("shows nobody another project's slices, a colleague's only when asked", async () => {
    await stable("mine");
    const id = await idOf("mine");
    const colleague = makeToken({ uuid: "user-2", email: "bob@uva.nl" });
    const stranger = makeToken({ uuid: "user-3", project: "project-2" });
    const see = async (token: string, query: string) =>
      (await ask("GET", `/slices/${id}?graph_format=NONE${query}`, { token })).status;
    expect([
      await see(colleague, ""),
      await see(colleague, "&as_self=false"),
      await see(stranger, "&as_self=false"),
    ]).toEqual([404, 200, 404]);
    const list = async (token: string, query: string) =>
      (await ask("GET", `/slices?name=mine${query}`, { token })).body.size;
    expect([
      await list(colleague, ""),
      await list(colleague, "&as_self=False"),
      await list(stranger, "&as_self=False"),
    ]).toEqual([0, 1, 0]);
    expect((await ask("DELETE", `/slices/delete/${id}`, { token: colleague })).status).toBe(404);
  });

  it("lists five at a time unless told, and by state", async () => {
    const token = makeToken({ uuid: "many" });
    for (let i = 0; i < 7; i++) {
      const body = JSON.stringify({
        graph_model: writeGraphml(fabnetSlice([{ name: "one", site: "UTAH" }], `m${i}`)),
        ssh_keys: [],
      });
      await ask("POST", `/slices/creates?name=many${i}`, { body, token });
    }
    expect((await ask("GET", "/slices", { token })).body.size).toBe(5);
    expect((await ask("GET", "/slices?limit=200&offset=5", { token })).body.data?.map((s) => s.name)).toEqual(
      ["many5", "many6"],
    );
    expect((await ask("GET", "/slices?states=Dead&states=Closing", { token })).body.size).toBe(0);
    await until(
      "all up",
      async () => (await ask("GET", "/slices?limit=200&states=StableOK", { token })).body.size,
      (n) => n === 7,
    );
    expect((await ask("DELETE", "/slices/delete", { token })).body.data?.[0]?.details).toBe(
      "Slices for user have been successfully deleted",
    );
    expect((await ask("GET", "/slices?limit=200&states=Closing&states=Dead", { token })).body.size).toBe(7);
  });

  it("has no reports and no L2Multisite", async () => {
    expect(refusal(await ask("GET", "/resources/calendar?start_date=a&end_date=b"))).toEqual([
      500,
      "Reports API is not enabled",
    ]);
    const graph = new GraphBuilder()
      .node({ name: "one", site: "AMST" })
      .network({ name: "net1", type: "L2Multisite", nodes: ["one"] })
      .build();
    expect(refusal(await create("multi", writeGraphml(graph)))).toEqual([400, "Not implemented"]);
  });
});

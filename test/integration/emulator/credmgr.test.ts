import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultTags, parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { texts } from "../../../infra/fabric/emulator/texts.js";
import { fablibPython } from "./official-client.js";
import { makeToken } from "./token.js";

const run = promisify(execFile);
const project = "project_name=emulated";

describe("the credential manager", () => {
  let app: FastifyInstance;
  let url: string;
  let folder: string;
  let now = Date.now();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "credmgr-"));
    app = buildEmulator({
      scenario: parseScenario({ auth: "signed" }),
      store: memoryStore(),
      adminToken: "admin",
      now: () => now,
    });
    url = await app.listen({ port: 0, host: "127.0.0.1" });
  });
  afterAll(async () => {
    await app.close();
    await rm(folder, { recursive: true, force: true });
  });

  interface Token {
    readonly id_token: string;
    readonly refresh_token?: string;
    readonly token_hash: string;
  }
  async function ask(
    method: string,
    path: string,
    { body, cookie, token }: { body?: unknown; cookie?: string; token?: string } = {},
  ) {
    const response = await fetch(url + path, {
      method,
      redirect: "manual",
      headers: {
        ...(cookie === undefined ? {} : { cookie: `fabric-service=${cookie}` }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = (text === "" ? {} : JSON.parse(text)) as {
      readonly data?: readonly Token[];
      readonly errors?: readonly { readonly details: string }[];
      readonly detail?: string;
    };
    return {
      status: response.status,
      token: json.data?.[0],
      why: json.errors?.[0]?.details ?? json.detail,
      location: response.headers.get("location"),
    };
  }
  const login = (query = project) =>
    ask("POST", `/credmgr/tokens/create?${query}&scope=all`, { cookie: "x" });
  const refresh = (token: string, query = project) =>
    ask("POST", `/credmgr/tokens/refresh?${query}&scope=all`, { body: { refresh_token: token } });
  const slices = async (token: string) => {
    const { status, why } = await ask("GET", "/slices", { token });
    return status === 200 ? "fine" : why;
  };

  it("serves FABRIC's own clients: create, verify, refresh, list, revoke; who one is", {
    timeout: 120_000,
  }, async () => {
    now = Date.now();
    const script = join(__dirname, "credmgr_client.py");
    const { stdout } = await run(await fablibPython(), [script, url, join(folder, "tokens.json")], {
      env: { PATH: process.env.PATH, HOME: folder, PYTHONWARNINGS: "ignore" },
    });
    expect(JSON.parse(stdout)).toEqual({
      verified: true,
      email: "emulator@localhost",
      project: "emulated",
      kept: true,
      another: true,
      again: 401,
      noCookie: 401,
      decoded: "00000000-0000-4000-8000-000000000001",
      states: ["Revoked", "Refreshed"],
      revoked: true,
      bastion: "emulated_0000000001",
      projects: ["emulated"],
      tags: defaultTags.length,
    });
  });

  it("issues the tokens that the orchestrator takes: signed, not expired, not revoked", async () => {
    expect(await slices(makeToken())).toBe(
      "Unable to validate provided token: ValidateCode.INVALID/Signature verification failed",
    );
    const { token } = await login();
    expect(await slices(token?.id_token ?? "")).toBe("fine");
    const other = (await login()).token;
    const revoked = await ask("POST", "/credmgr/tokens/revokes", {
      body: { type: "identity", token: other?.token_hash },
      token: token?.id_token ?? "",
    });
    expect(revoked.status).toBe(200);
    expect(await slices(other?.id_token ?? "")).toBe(`Unauthorized: Token: ${other?.token_hash} is revoked!`);
    now += 4 * 3_600_000;
    expect(await slices(token?.id_token ?? "")).toBe(texts.expiredToken);
    const forged = `${token?.id_token.split(".").slice(0, 2).join(".")}.AAAA`;
    expect(await slices(forged)).toContain("Signature verification failed");
  });

  it("takes a refresh token once, for a day, and spends it also when it then refuses", async () => {
    const first = (await login()).token?.refresh_token ?? "";
    const second = (await refresh(first)).token?.refresh_token ?? "";
    expect([(await refresh(first)).status, (await refresh(first)).why]).toEqual([
      401,
      texts.deadRefreshToken,
    ]);
    // refused before the identity provider was asked
    expect((await refresh(second, "x=y")).status).toBe(500);
    const third = (await refresh(second)).token?.refresh_token ?? "";
    // refused after
    expect((await refresh(third, "project_name=other")).why).toBe(texts.credentialManager);
    expect((await refresh(third)).status).toBe(401);
    const old = (await login()).token?.refresh_token ?? "";
    now += 24 * 3_600_000;
    expect((await refresh(old)).status).toBe(401);
  });

  it("gives no refresh token with a long-lived one, and none to who is not logged in or not in the project", async () => {
    const long = await login(`${project}&lifetime=100`);
    expect(long.token?.refresh_token).toBeUndefined();
    expect((await ask("POST", `/credmgr/tokens/create?${project}`)).why).toBe("Login required");
    expect((await login("project_name=other")).why).toBe(texts.credentialManager);
    expect((await login(`${project}&comment=short`)).status).toBe(400);
  });

  it("sends a token back to a program that waits on this machine, and nowhere else", async () => {
    const cli = (to: string) =>
      ask("GET", `/credmgr/tokens/create_cli?${project}&redirect_uri=${encodeURIComponent(to)}`, {
        cookie: "x",
      });
    const sent = new URL((await cli("http://localhost:4000/callback")).location ?? "");
    expect(sent.pathname).toBe("/callback");
    expect(await slices(sent.searchParams.get("id_token") ?? "")).toBe("fine");
    expect((await cli("http://elsewhere.org:4000/callback")).status).toBe(400);
    expect((await cli("http://localhost:22/callback")).status).toBe(400);
  });

  it("lives on after bodies that are none", async () => {
    for (const body of [{}, [], { refresh_token: 3 }, "x"])
      expect((await ask("POST", `/credmgr/tokens/refresh?${project}`, { body })).status).toBe(422);
    expect((await ask("GET", "/credmgr/certs")).status).toBe(200);
    expect((await ask("GET", "/credmgr/tokens", { token: "a.b.c" })).status).toBe(401);
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FabricApi } from "../../../infra/fabric/api.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { quick } from "../../support/emulated-fabric.js";
import { TestStack } from "../../support/engine.js";

const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
new FabricSlice("dev", {
  sliceName: "secret-dev",
  endpoint: { kind: "fabric", rc: config.require("rc") },
  nodes: { core: { site: "AMST" } },
});`;

describe("a FABRIC user's tokens", () => {
  let files: string;
  let app: FastifyInstance;
  let url: string;
  let stack: TestStack;

  beforeAll(async () => {
    files = mkdtempSync(join(tmpdir(), "secrets-"));
    app = buildEmulator({
      scenario: parseScenario({ auth: "signed", delays: quick }),
      store: memoryStore(),
      adminToken: "admin",
    });
    url = await app.listen({ port: 0, host: "127.0.0.1" });
    const rc = {
      FABRIC_ORCHESTRATOR_HOST: url,
      FABRIC_CREDMGR_HOST: url,
      FABRIC_TOKEN_LOCATION: join(files, "tokens.json"),
      FABRIC_SLICE_PUBLIC_KEY_FILE: join(files, "key.pub"),
    };
    writeFileSync(join(files, "key.pub"), "ssh-ed25519 AAAA test\n");
    writeFileSync(join(files, "fabric_rc"), Object.entries(rc).map(([k, v]) => `export ${k}=${v}\n`).join("")); // biome-ignore format: one line
    stack = new TestStack({
      program,
      project: "secret",
      stack: "dev",
      config: { "test:rc": join(files, "fabric_rc") },
    });
  });
  afterAll(async () => {
    stack?.end();
    await app?.close();
    rmSync(files, { recursive: true, force: true });
  });

  const admin = async (path: string, body: unknown) => {
    const response = await fetch(`${url}/emulator${path}`, {
      method: "POST",
      headers: { authorization: "Bearer admin" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as Readonly<Record<string, unknown>>;
  };

  it("are in no state, log or error, whatever the servers do with them", { timeout: 300_000 }, async () => {
    const secrets = new Set<string>();
    const know = (tokens: Readonly<Record<string, unknown>>) => {
      for (const name of ["id_token", "refresh_token"])
        if (typeof tokens[name] === "string") secrets.add(tokens[name]);
    };
    const issue = async (lifetimeSeconds: number) => {
      const tokens = await admin("/tokens", { lifetimeSeconds });
      know(tokens);
      writeFileSync(join(files, "tokens.json"), JSON.stringify(tokens));
      return String(tokens.id_token);
    };
    const texts: string[] = [];

    // refreshed on the way, in a run that logs all it can
    await issue(600);
    const made = await stack.up(["--debug"]);
    texts.push(made.text, JSON.stringify(made.resources));
    expect(made.code, made.text).toBe(0);
    know(JSON.parse(readFileSync(join(files, "tokens.json"), "utf8")));
    expect(secrets.size).toBe(4);

    // a server that repeats what it was sent
    const token = await issue(3600);
    await admin("/faults", {
      calls: "*",
      fault: { kind: "refuse", text: `not you: Bearer ${token} (${token})` },
    });
    const refused = await stack.refresh(["--debug"]);
    texts.push(refused.text);
    expect(refused.code).not.toBe(0);
    expect(refused.text).toContain("not you");
    await fetch(`${url}/emulator/faults`, { method: "DELETE", headers: { authorization: "Bearer admin" } });

    const gone = await stack.destroy(["--debug"]);
    texts.push(gone.text);
    expect(gone.code, gone.text).toBe(0);
    expect((await new FabricApi({ host: url, token: () => token }).slices()).map((s) => s.state)).toEqual([
      "Dead",
    ]);

    // every file of the project: state, its history, the stack's folder
    const everything = readdirSync(stack.folder, { recursive: true, withFileTypes: true })
      .filter((f) => f.isFile() && !f.parentPath.includes("node_modules"))
      .map((f) => readFileSync(join(f.parentPath, f.name), "latin1"));
    expect(everything.join("").length).toBeGreaterThan(1000);
    for (const secret of secrets) {
      // a token's end is as good as the token to find it by
      const found = [...texts, ...everything].filter(
        (t) => t.includes(secret) || t.includes(secret.slice(-40)),
      );
      expect(found).toEqual([]);
    }
  });
});

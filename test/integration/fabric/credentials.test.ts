import { execFile } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"; // biome-ignore format: one line
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { FastifyInstance } from "fastify";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { z } from "zod";
import { FabricApi } from "../../../infra/fabric/api.js";
import type { callRuleSchema } from "../../../infra/fabric/emulator/fault-schema.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../../infra/fabric/emulator/store.js";
import { texts } from "../../../infra/fabric/emulator/texts.js";
import { freshToken } from "../../../infra/fabric/token-refresh.js";
import { InfraError } from "../../../infra/problem.js";

const run = promisify(execFile);
const project = "00000000-0000-4000-8000-000000000002";

describe("a token from FABRIC's credential manager", { timeout: 90_000 }, () => {
  let folder: string;
  let program: string;
  let file: string;
  let app: FastifyInstance;
  let url: string;
  let now: number;

  beforeAll(async () => {
    program = join(mkdtempSync(join(tmpdir(), "refresher-")), "refresh.cjs");
    const source = join(__dirname, "../../../infra/fabric/token-refresh.ts");
    await build({
      stdin: {
        contents: `import { freshToken } from ${JSON.stringify(source)};
          const [, , file, host] = process.argv;
          freshToken({ file, host }).then((t) => process.stdout.write(t), (e) => { process.stderr.write(e.message); process.exit(1); });`,
        resolveDir: __dirname,
      },
      outfile: program,
      bundle: true,
      platform: "node",
      format: "cjs",
      logLevel: "error",
    });
  });
  afterAll(() => rmSync(join(program, ".."), { recursive: true, force: true }));
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "credentials "));
    file = join(folder, "tokens.json");
    now = Date.now();
    app = buildEmulator({
      scenario: parseScenario({ auth: "signed" }),
      store: memoryStore(),
      adminToken: "admin",
      now: () => now,
    });
    url = await app.listen({ port: 0, host: "127.0.0.1" });
  });
  afterEach(async () => {
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const admin = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/emulator${path}`, {
      method,
      headers: { authorization: "Bearer admin" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as Readonly<Record<string, unknown>>;
  };
  /** Writes a token file as FABlib would. */
  const issue = async (lifetimeSeconds: number, refresh = true) => {
    const token = await admin("POST", "/tokens", { lifetimeSeconds, refresh });
    writeFileSync(file, JSON.stringify(token), { mode: 0o644 });
    return token as { readonly id_token: string; readonly refresh_token: string };
  };
  const fault = (rule: z.input<typeof callRuleSchema>["fault"], times = 1) =>
    admin("POST", "/faults", { calls: "tokens-refresh", times, fault: rule });
  const refreshes = async () =>
    ((await admin("GET", "/state")).calls as readonly { readonly name: string }[]).filter(
      (c) => c.name === "tokens-refresh",
    ).length;
  const get = (options: object = {}) => freshToken({ file, host: url }, { now: () => now, ...options });
  const kept = () => JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, string>>;
  const accepted = async (token: string) => {
    await new FabricApi({ host: url, token: () => token }).slices();
    return true;
  };
  const problem = async (work: Promise<unknown>): Promise<InfraError> => {
    const error: unknown = await work.then(
      () => new Error("no error"),
      (e: unknown) => e,
    );
    if (error instanceof InfraError) return error;
    throw error;
  };

  it("is left alone while it lasts, and refreshed before its end: the new pair is on disk, for its owner only", async () => {
    const first = await issue(3600);
    expect(await get()).toBe(first.id_token);
    now += 2_800_000;
    const second = await get();
    expect(second).not.toBe(first.id_token);
    expect(kept()).toMatchObject({ id_token: second, state: "Refreshed" });
    expect(kept().created_at).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["tokens.json"]);
    expect(await accepted(second)).toBe(true);
    // the next one works from what was kept
    now += 14_000_000;
    expect(await accepted(await get())).toBe(true);
    expect(await refreshes()).toBe(2);
  });

  it("is refreshed once, however many calls and processes ask at once", async () => {
    await issue(600);
    const same = await Promise.all(Array.from({ length: 20 }, () => get()));
    expect(new Set(same).size).toBe(1);
    expect(await refreshes()).toBe(1);
    await issue(600);
    const others = await Promise.all(
      Array.from({ length: 5 }, () => run(process.execPath, [program, file, url])),
    );
    expect(new Set(others.map((o) => o.stdout))).toEqual(new Set([kept().id_token]));
    expect(await refreshes()).toBe(2);
    expect(await accepted(kept().id_token ?? "")).toBe(true);
  });

  it("is safe when a process is killed while it waits: the file is whole and the next one goes on", async () => {
    const first = await issue(600);
    await fault({ kind: "hang" });
    const child = execFile(process.execPath, [program, file, url], () => undefined);
    for (const deadline = Date.now() + 60_000; (await refreshes()) === 0; )
      if (Date.now() > deadline) throw new Error("the child never asked");
    child.kill("SIGKILL");
    expect(kept()).toMatchObject({ refresh_token: first.refresh_token });
    expect(await get()).not.toBe(first.id_token);
    expect(await refreshes()).toBe(2);
    expect(readdirSync(folder)).toEqual(["tokens.json"]);
  });

  it("follows a link and leaves it one", async () => {
    await issue(600);
    const link = join(folder, "link.json");
    symlinkSync(file, link);
    const token = await freshToken({ file: link, host: url }, { now: () => now });
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(kept().id_token).toBe(token);
  });

  it("that is dead is told with the place to log in, and while the id token lasts it is not asked for again and again", async () => {
    const { id_token: id, refresh_token: refresh } = await issue(600);
    await fetch(`${url}/credmgr/tokens/refresh?project_id=${project}&scope=all`, {
      method: "POST",
      body: JSON.stringify({ refresh_token: refresh }),
    });
    const before = await refreshes();
    for (let i = 0; i < 5; i++) expect(await get()).toBe(id);
    expect(await refreshes()).toBe(before + 1);
    now += 600_000;
    const error = await problem(get());
    expect(error.code).toBe("FAB-TOKEN-DEAD");
    expect(error.message).toContain(texts.deadRefreshToken);
    expect(error.problems[0]?.remedy).toContain("https://cm.fabric-testbed.net");
    for (const secret of [id, refresh]) expect(error.message).not.toContain(secret);
  });

  it("that ended without a refresh token is told", async () => {
    await issue(600, false);
    now += 600_000;
    const error = await problem(get());
    expect([error.code, error.problems[0]?.remedy]).toEqual([
      "FAB-TOKEN-EXPIRED",
      expect.stringContaining("https://cm.fabric-testbed.net"),
    ]);
  });

  it.each([
    ["a lost answer", { kind: "drop", when: "after" }],
    ["a refusal", { kind: "refuse", text: texts.credentialManager }],
    ["half an answer", { kind: "half-json", share: 0.7 }],
    ["a web page", { kind: "html" }],
    ["a page of the proxy", { kind: "proxy" }],
    ["an answer without end", { kind: "huge", megabytes: 3 }],
    ["silence", { kind: "hang" }],
  ] as const)("%s is no harm while the id token lasts, and an error after it", async (_, rule) => {
    const { id_token: id, refresh_token: refresh } = await issue(600);
    await fault(rule, 2);
    expect(await get({ timeoutSeconds: 1 })).toBe(id);
    now += 600_000;
    const error = await problem(get({ timeoutSeconds: 1 }));
    // where the first answer was lost, the refresh token was spent with it
    expect(["FAB-TOKEN-REFRESH", "FAB-TOKEN-DEAD"]).toContain(error.code);
    for (const secret of [id, refresh, kept().refresh_token ?? "x"])
      expect(error.message).not.toContain(secret);
    expect(readdirSync(folder)).toEqual(["tokens.json"]);
  });

  it("keeps the next refresh token that a refusal carries", async () => {
    const next = await issue(600);
    const first = await issue(600);
    await fault({ kind: "refuse", text: `error: no flow, refresh_token: ${next.refresh_token}` });
    expect(await get()).toBe(first.id_token);
    expect(kept()).toMatchObject({ id_token: first.id_token, refresh_token: next.refresh_token });
    now += 601_000;
    expect(await accepted(await get())).toBe(true);
  });

  it("is not asked for when it could not be kept", async () => {
    await issue(600);
    mkdirSync(`${file}.new`);
    now += 601_000;
    expect((await problem(get())).code).toBe("FAB-TOKEN-WRITE");
    expect(await refreshes()).toBe(0);
  });
});

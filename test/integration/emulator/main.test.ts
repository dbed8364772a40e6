import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { freeCapacity } from "../../../infra/fabric/emulator/capacity.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { readState } from "../../../infra/fabric/emulator/store.js";
import { writeGraphml } from "../../../infra/fabric/graphml.js";
import { bundle } from "../../support/bundle.js";
import { fabnetSlice } from "../../unit/emulator/graphs.js";
import { makeToken } from "./token.js";
import { until } from "./until.js";

describe("the emulator as a process", () => {
  let folder: string;
  let program: string;
  const running = new Set<ChildProcess>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "emulator main ")); // a space on purpose
    program = join(folder, "main.js");
    await bundle("infra/fabric/emulator/main.ts", program);
  });
  afterEach(() => {
    for (const child of running) child.kill("SIGKILL");
    running.clear();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  interface Running {
    readonly child: ChildProcess;
    readonly ended: Promise<{ code: number | null; errors: string }>;
    readonly url: Promise<string>;
  }

  function start(env: Readonly<Record<string, string>>): Running {
    const child = spawn(process.execPath, [program], { env: { PATH: process.env.PATH, ...env } });
    running.add(child);
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    const ended = new Promise<{ code: number | null; errors: string }>((resolve) => {
      child.on("close", (code) => {
        running.delete(child);
        resolve({ code, errors });
      });
    });
    const url = new Promise<string>((resolve) => {
      child.stdout?.on("data", (chunk: Buffer) => {
        const found = /http:\S+/.exec(chunk.toString())?.[0];
        if (found !== undefined) resolve(found);
      });
    });
    return { child, ended, url };
  }

  const token = makeToken();
  const ask = async (url: string, path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, {
      ...init,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    });
    return (await response.json()) as { data: readonly Record<string, unknown>[] };
  };
  const create = (url: string, name: string) =>
    ask(url, `/slices/creates?name=${name}`, {
      method: "POST",
      body: JSON.stringify({
        graph_model: writeGraphml(fabnetSlice([{ name: "one", site: "AMST" }], name)),
        ssh_keys: [],
      }),
    });

  it("keeps what it has answered over kill -9, and the clock goes on while it is away", async () => {
    const state = join(folder, "killed", "state.json");
    const first = start({ HTTP_PORT: "0", STATE_FILE: state });
    const made = await create(await first.url, "killed");
    first.child.kill("SIGKILL"); // while the slice is nascent
    await first.ended;
    const second = start({ HTTP_PORT: "0", STATE_FILE: state });
    const url = await second.url;
    const id = String(made.data[0]?.slice_id);
    await until(
      "StableOK",
      async () => (await ask(url, `/slices/${id}?graph_format=NONE`)).data[0]?.state,
      (s) => s === "StableOK",
    );
    const slivers = (await ask(url, `/slivers?slice_id=${id}`)).data;
    expect(slivers.map((s) => s.sliver_id)).toEqual(made.data.map((s) => s.sliver_id));
    // a preview finds the same without a running emulator
    second.child.kill("SIGTERM");
    expect(await second.ended).toEqual({ code: 0, errors: "" });
    const site = freeCapacity(parseScenario(), await readState(state)).find((s) => s.site === "AMST");
    expect(site?.cores).toEqual({ total: 192, free: 190 });
    expect((await readdir(join(folder, "killed"))).sort()).toEqual(["state.json"]);
  });

  it("loses no answered call when it is killed at any moment", async () => {
    const state = join(folder, "often", "state.json");
    const answered: string[] = [];
    for (let round = 0; round < 5; round++) {
      const run = start({ HTTP_PORT: "0", STATE_FILE: state });
      const url = await run.url;
      const calls = Array.from({ length: 8 }, (_, i) =>
        create(url, `r${round}-${i}`).then(
          () => answered.push(`r${round}-${i}`),
          () => undefined, // cut off by the kill: it may be there or not
        ),
      );
      await Promise.race(calls.slice(round % 8));
      run.child.kill("SIGKILL");
      await Promise.all(calls);
      await run.ended;
      const kept = (await readState(state)).slices.map((s) => s.name);
      expect(answered.filter((name) => !kept.includes(name))).toEqual([]);
    }
    expect(answered.length).toBeGreaterThan(0);
  });

  it("says in one line what keeps it from starting", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const port = String((taken.address() as { port: number }).port);
    const broken = join(folder, "broken.json");
    await writeFile(broken, '{"slices": 3}');
    const scenario = join(folder, "scenario.yaml");
    await writeFile(scenario, "sites: { amst: {} }\n");
    const STATE_FILE = join(folder, "unused.json");
    const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
      [{}, /^HTTP_PORT {2}FAB-EMU-ENV {2}not a port: missing/],
      [{ HTTP_PORT: "0" }, /^STATE_FILE {2}FAB-EMU-ENV/],
      [{ HTTP_PORT: port, STATE_FILE }, /FAB-EMU-PORT {2}cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/],
      [
        { HTTP_PORT: "0", STATE_FILE: broken },
        /broken\.json {2}FAB-EMU-STATE {2}is not the emulator's state/,
      ],
      [
        { HTTP_PORT: "0", STATE_FILE, SCENARIO_FILE: scenario },
        /scenario\.yaml {2}sites\.amst {2}FAB-EMU-SCENARIO/,
      ],
      [{ HTTP_PORT: "0", STATE_FILE, HTTP_HOST: "0.0.0.0" }, /HTTP_HOST {2}FAB-EMU-ENV {2}not an address/],
      [
        { HTTP_PORT: "0", STATE_FILE, TLS_KEY_FILE: scenario },
        /TLS_CERT_FILE {2}FAB-EMU-ENV {2}cannot be read/,
      ],
      [
        { HTTP_PORT: "0", STATE_FILE, TLS_KEY_FILE: scenario, TLS_CERT_FILE: scenario },
        /TLS_CERT_FILE {2}FAB-EMU-ENV {2}no certificate and key/,
      ],
      [{ HTTP_PORT: "0", STATE_FILE, ADMIN_TOKEN_FILE: folder }, /ADMIN_TOKEN_FILE {2}FAB-EMU-ENV/],
      [{ HTTP_PORT: "0", STATE_FILE, SCENARIO_FILE: "/nowhere.yaml" }, /FAB-EMU-SCENARIO {2}cannot be read/],
    ];
    for (const [env, text] of cases) {
      const { code, errors } = await start(env).ended;
      expect(errors).toMatch(text);
      expect(errors).not.toMatch(/\n\s+at /);
      expect(code).toBe(1);
    }
    await new Promise((resolve) => taken.close(resolve));
    expect(await readFile(broken, "utf8")).toBe('{"slices": 3}');
  });

  it("is ruled by who can read its admin token, on the address it is told; a scenario given so outlives it", async () => {
    const ADMIN_TOKEN_FILE = join(folder, "admin-token");
    const host = process.platform === "linux" ? "127.0.0.9" : "127.0.0.1"; // elsewhere only one address is there
    const env = {
      HTTP_PORT: "0",
      HTTP_HOST: host,
      STATE_FILE: join(folder, "ruled", "state.json"),
      ADMIN_TOKEN_FILE,
    };
    const first = start(env);
    const url = await first.url;
    expect(new URL(url).hostname).toBe(host);
    expect((await stat(ADMIN_TOKEN_FILE)).mode & 0o777).toBe(0o600);
    const token = await readFile(ADMIN_TOKEN_FILE, "utf8");
    const admin = async (at: string, by: string) =>
      await fetch(`${at}/emulator/scenario`, {
        method: "PUT",
        headers: { authorization: `Bearer ${by}` },
        body: JSON.stringify({ maintenance: true }),
      });
    expect((await admin(url, "guess")).status).toBe(401);
    expect((await admin(url, token)).status).toBe(200);
    first.child.kill("SIGKILL");
    await first.ended;
    const again = start(env);
    const refused = (await create(await again.url, "later")) as unknown as {
      readonly errors: readonly { readonly details: string }[];
    };
    expect(refused.errors[0]?.details).toContain("maintenance mode");
    // another start, another token
    expect((await admin(await again.url, token)).status).toBe(401);
  });

  it("answers 500 and changes nothing when it cannot save", async () => {
    const place = join(folder, "gone");
    const run = start({ HTTP_PORT: "0", STATE_FILE: join(place, "state.json") });
    const url = await run.url;
    await rm(place, { recursive: true });
    const refused = (await create(url, "lost")) as unknown as { errors: readonly { details: string }[] };
    expect(refused.errors[0]?.details).toMatch(/FAB-EMU-STATE {2}cannot be written/);
    expect((await ask(url, "/slices")).data).toEqual([]);
  });
});

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { connect, ensureSupervisor, shutdownStack, statusOf } from "../../../infra/local/index.js";
import { isAlive } from "../../../infra/local/os-process.js";
import { packageFolder } from "../../../infra/local/package-folder.js";
import { ask, eventually, found, newStack, web } from "./stack-fixture.js";

const long = { timeout: 60_000 };

describe("a service", () => {
  it(
    "is ready when PUT answers, with its port, files, folder and log, and no passphrase of ours",
    long,
    async () => {
      process.env.PULUMI_CONFIG_PASSPHRASE = "not-for-services";
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      delete process.env.PULUMI_CONFIG_PASSPHRASE;
      const spec = web("store", {
        env: { SECRET_FILE: "{{secretFile:operator}}", PLACE: "{{project}}|{{folder}}" },
        files: [{ path: "conf/a.json", content: '{"port": {{port:http}}, "secret": "{{secret:operator}}"}' }],
      });
      const status = await client.put(spec);
      expect(status).toMatchObject({ name: "store", node: "core", state: "ready", restarts: 0 });
      expect(await ask(status, "/")).toBe("ok");

      const env = JSON.parse(await ask(status, "/env")) as Record<string, string>;
      expect(env.PLACE).toBe(`${stack.project}|${join(stack.state, "nodes/core/store")}`);
      expect(JSON.stringify(env)).not.toContain("not-for-services");
      const secret = readFileSync(env.SECRET_FILE ?? "", "utf8");
      expect(Buffer.from(secret, "base64url")).toHaveLength(32);
      const conf = join(status.folder, "conf/a.json");
      expect(JSON.parse(readFileSync(conf, "utf8"))).toEqual({ port: status.ports.http, secret });
      for (const path of [
        conf,
        env.SECRET_FILE ?? "",
        join(stack.state, "services.json"),
        join(stack.state, "supervisor.json"),
      ]) {
        expect(statSync(path).mode & 0o777).toBe(0o600);
      }
      const readable = [
        join(stack.state, "services.json"),
        join(stack.state, "logs/supervisor.log"),
        status.log,
        `/proc/${status.pid}/cmdline`,
      ];
      for (const path of readable) expect(readFileSync(path, "utf8")).not.toContain(secret);
      expect(readFileSync(status.log, "utf8")).toContain("listening");

      expect(await client.put(spec)).toEqual(status);
      expect(await client.list()).toEqual([status]);
      expect(statusOf(stack.state)).toEqual({ supervisor: true, services: [status] });
    },
  );

  it(
    "is started anew with a changed specification, on its port; a service that needs it goes on",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const first = await client.put(web("store", { files: [{ path: "old", content: "" }] }));
      const agent = await client.put(
        web("agent", { needs: ["store"], env: { STORE: "{{port:store/http}}" } }),
      );
      const second = await client.put(web("store", { env: { A: "1" } }));
      expect(second.ports).toEqual(first.ports);
      expect(second.pid).not.toBe(first.pid);
      expect(existsSync(join(second.folder, "old"))).toBe(false);
      expect((await client.get("agent")).pid).toBe(agent.pid);
    },
  );

  it(
    "is removed with its folder; after the last one the supervisor ends and leaves the logs",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const a = await client.put(web("a", { env: { S: "{{secretFile:s}}" } }));
      await client.put(web("b"));
      await client.remove("a");
      await client.remove("a");
      expect(existsSync(a.folder)).toBe(false);
      expect((await client.list()).map((s) => s.name)).toEqual(["b"]);
      const supervisor = stack.supervisor();
      await client.remove("b");
      await eventually(() => isAlive(supervisor)).toBe(false);
      expect(readdirSync(stack.state)).toEqual(["logs"]);
      expect(connect(stack.state)).toBeUndefined();
      await expect(client.list()).rejects.toMatchObject({ code: "LOC-SUPERVISOR-DOWN" });
    },
  );
});

describe("what cannot be", () => {
  it("is told with code, place and remedy, and registers nothing", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const code = async (spec: unknown) => {
      const error = await client.put(spec as never).catch((e: unknown) => e);
      const problem = (error as { problems?: { code: string; path?: string }[] }).problems?.[0];
      return `${problem?.code} ${problem?.path}`;
    };
    expect(await code({ ...web("a"), ready: { tcp: "amqp" } })).toBe("LOC-SPEC a.ready");
    expect(await code({ ...web("a"), nodes: 1 })).toBe("LOC-SPEC a");
    expect(await code(web("a", { files: [{ path: "../b", content: "" }] }))).toBe("LOC-SPEC a.files[1].path");
    expect(await code(web("a", { env: { X: "{{prot:http}}" } }))).toBe("LOC-TEMPLATE a.env.X");
    expect(await code(web("a", { env: { X: "{{secret:x}}" } }))).toBe("LOC-TEMPLATE a.env.X");
    expect(await code(web("a", { needs: ["a"] }))).toBe("LOC-CYCLE a.needs[0]");
    expect(await client.list()).toEqual([]);
    expect(await code(web("a", { needs: ["b"] }))).toBe("LOC-NEED-UNKNOWN a.needs");
    expect(await code(web("b", { needs: ["a"] }))).toBe("LOC-CYCLE a.needs");
    expect(await code(web("c", { env: { X: "{{tool:no-such-tool}}" } }))).toBe("LOC-TOOL-MISSING c");
    await expect(client.get("nobody")).rejects.toMatchObject({ code: "LOC-SERVICE-UNKNOWN" });
    await expect(client.stopNode("nowhere")).rejects.toMatchObject({ code: "LOC-NODE-UNKNOWN" });
    const { port } = stack.supervisor();
    expect((await fetch(`http://127.0.0.1:${port}/services`)).status).toBe(401);
  });

  it("a fixed port in use: names the port, who has it, and the place to change", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const server = createServer();
    const port = await new Promise<number>((done) =>
      server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port)),
    );
    const spec = web("gateway", { ports: { http: port } });
    const begun = performance.now();
    const error = await client.put(spec).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "LOC-PORT-IN-USE", problems: [{ path: "gateway.ports.http" }] });
    expect(String(error)).toContain(`port ${port} on 127.0.0.1`);
    expect(String(error)).toContain(`(pid ${process.pid})`);
    expect(performance.now() - begun).toBeLessThan(1000);
    await new Promise((done) => server.close(done));
    expect((await client.put(spec)).ports).toEqual({ http: port });
    const second = await client.put(web("other", { ports: { http: port } })).catch((e: unknown) => e);
    expect(String(second)).toContain("gateway, a service of this stack");
  });

  it(
    "a service that ends at its start, and one that is never ready: the log's last lines",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const ends = web("ends", {}, 'console.error("no disk left"); process.exit(4);');
      const error = await client.put(ends).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: "LOC-START-FAILED" });
      expect(String(error)).toMatch(/ends ended before it was ready.*last lines are:\n {4}no disk left/);
      const hangs = web(
        "hangs",
        { startSeconds: 0.5, ready: { http: "http", path: "/" } },
        'console.log("thinking"); process.env.HTTP_PORT = 0;',
      );
      await expect(client.put(hangs)).rejects.toThrow(/hangs was not ready after 0.5 s.*thinking/s);
      expect(stack.processes()).toEqual([]);
      expect((await client.list()).map((s) => s.state)).toEqual(["failed", "failed"]);
      const missing = { ...web("missing"), command: ["/no/such/program"] };
      await expect(client.put(missing)).rejects.toThrow(/no\/such\/program/);
      expect(await client.put(web("ends"))).toMatchObject({ state: "ready" });
    },
  );
});

describe("stop and start", () => {
  it("of a node: exactly its services", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const [one] = [await client.put(web("one"))];
    await client.put(web("two", { node: "edge", needs: ["one"] }));
    await client.put(web("three", { node: "edge", needs: ["two"] }));
    const stopped = await client.stopNode("edge");
    expect(stopped.map((s) => [s.name, s.state])).toEqual([
      ["two", "stopped"],
      ["three", "stopped"],
    ]);
    expect(stack.processes().map((row) => row.pid)).toEqual([one.pid]);
    await client.startNode("edge");
    expect((await client.list()).map((s) => s.state)).toEqual(["ready", "ready", "ready"]);
    await client.stop("one");
    await expect(client.put(web("four", { needs: ["one"] }))).rejects.toMatchObject({
      code: "LOC-NEED-NOT-READY",
    });
  });

  it(
    "ends a process that ignores SIGTERM, and descendants that left its group or its session",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const stubborn = `
      process.on("SIGTERM", () => console.log("no"));
      const { spawn } = require("node:child_process");
      const sleeper = ["-e", "process.on('SIGTERM', () => 0); setInterval(() => 0, 1000)"];
      spawn(process.execPath, sleeper, { stdio: "ignore" });
      spawn(process.execPath, sleeper, { stdio: "ignore", detached: true });
    `;
      await client.put(web("stubborn", { stopSeconds: 0.5 }, stubborn));
      await eventually(() => stack.processes().length).toBe(3);
      const status = await client.stop("stubborn");
      expect(status.state).toBe("stopped");
      expect(stack.processes()).toEqual([]);
      expect(readFileSync(status.log, "utf8")).toContain("no");
    },
  );

  it(
    "stops a service while it starts, and an unwanted one stays stopped with the next supervisor",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const starting = client.put(web("slow", {}, "setInterval(() => 0, 1000); return;"));
      const outcome = starting.catch((error: unknown) => error);
      await eventually(() => statusOf(stack.state).services[0]?.pid).toBeDefined();
      await client.stop("slow");
      expect(await outcome).toMatchObject({ code: "LOC-STOPPED" });
      await shutdownStack(stack.state, { forget: false });
      await ensureSupervisor(stack.state, stack.project);
      expect(stack.status("slow").state).toBe("stopped");
      expect(stack.processes()).toEqual([]);
    },
  );
});

describe("one supervisor a stack", () => {
  it("however many start it at once, from several processes", long, async () => {
    const stack = newStack();
    const script = `require(${JSON.stringify(join(packageFolder(), "dist/infra/local/client.js"))})
      .ensureSupervisor(process.argv[1], process.argv[2]).then(c => c.put(JSON.parse(process.argv[3]))).then(s => console.log(s.pid))`;
    const args = ["-e", script, stack.state, stack.project, JSON.stringify(web("only"))];
    const runs = Array.from({ length: 5 }, () => promisify(execFile)(process.execPath, args));
    const own = Array.from({ length: 3 }, () => ensureSupervisor(stack.state, stack.project));
    const pids = (await Promise.all(runs)).map((run) => run.stdout.trim());
    await Promise.all(own);
    expect(new Set(pids).size).toBe(1);
    expect(pids[0]).toBe(String(stack.status("only").pid));
    expect(stack.processes()).toHaveLength(1);
    expect(readFileSync(join(stack.state, "logs/supervisor.log"), "utf8").match(/listens on/g)).toHaveLength(
      1,
    );
    expect(readdirSync(join(stack.state, "supervisor.lock"))).toHaveLength(1);
  });
});

describe("shutdownStack", () => {
  it("ends all, twice over, with and without data kept", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const a = await client.put(web("a"));
    await client.put(web("b", { needs: ["a"] }));
    await shutdownStack(stack.state, { forget: false });
    expect(stack.processes()).toEqual([]);
    expect(statusOf(stack.state)).toMatchObject({
      supervisor: false,
      services: [{ state: "stopped" }, { state: "stopped" }],
    });
    const again = await ensureSupervisor(stack.state, stack.project);
    await eventually(async () => (await again.list()).map((s) => s.state)).toEqual(["ready", "ready"]);
    expect(found(await again.list(), "a").ports).toEqual(a.ports);
    await shutdownStack(stack.state);
    await shutdownStack(stack.state);
    expect(readdirSync(stack.state)).toEqual(["logs"]);
    await shutdownStack(join(stack.state, "never-was"));
  });
});

import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { connect, ensureSupervisor, shutdownStack, statusOf } from "../../../infra/local/index.js";
import { isAlive } from "../../../infra/local/os-process.js";
import { endService } from "../../../infra/local/stack.js";
import { ask, eventually, killService, killSupervisor, newStack, web } from "./stack-fixture.js";

const long = { timeout: 60_000 };

function listen(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((done, failed) =>
    server.once("error", failed).listen(port, "127.0.0.1", () => done(server)),
  );
}

const close = (server: Server) => new Promise((done) => server.close(done));

describe("kill -9", () => {
  it("of a service: started again on its port, counted; the one that needs it goes on", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const before = await client.put(web("store"));
    const agent = await client.put(web("agent", { needs: ["store"], env: { STORE: "{{port:store/http}}" } }));
    for (const restarts of [1, 2]) {
      const killed = killService(stack, "store");
      await eventually(() => stack.status("store")).toMatchObject({ state: "ready", restarts });
      expect(stack.status("store").pid).not.toBe(killed);
    }
    expect(stack.status("store").ports).toEqual(before.ports);
    expect(stack.status("agent")).toEqual(agent);
    expect(stack.status("store").problem).toBeUndefined();
  });

  it("of the supervisor: services run on; the next one adopts them and notices their end", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const a = await client.put(web("a"));
    await client.put(web("b"));
    await killSupervisor(stack);
    expect(connect(stack.state)).toBeUndefined();
    expect(statusOf(stack.state)).toMatchObject({
      supervisor: false,
      services: [{ state: "ready" }, { state: "ready" }],
    });
    await expect(client.list()).rejects.toMatchObject({ code: "LOC-SUPERVISOR-DOWN" });
    expect(await ask(a, "/")).toBe("ok");

    const next = await ensureSupervisor(stack.state, stack.project);
    expect((await next.get("a")).pid).toBe(a.pid);
    expect(await next.put(web("a"))).toEqual(a);
    const killed = killService(stack, "a");
    await eventually(() => stack.status("a")).toMatchObject({ state: "ready", restarts: 1 });
    expect(stack.status("a").pid).not.toBe(killed);
    expect(await next.stop("b")).toMatchObject({ state: "stopped" });
    expect(stack.processes()).toHaveLength(1);
  });

  it("of both at once: shown as stopped, put right by the next supervisor", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    const a = await client.put(web("a"));
    const b = await client.put(web("b"));
    const supervisor = stack.supervisor();
    process.kill(supervisor.pid, "SIGKILL");
    killService(stack, "a");
    await eventually(() => isAlive(supervisor) || stack.processes().length > 1).toBe(false);
    expect(stack.status("a").state).toBe("stopped");
    expect(stack.status("b").state).toBe("ready");
    const next = await ensureSupervisor(stack.state, stack.project);
    expect(await next.put(web("a"))).toMatchObject({ state: "ready", ports: a.ports });
    expect((await next.get("b")).pid).toBe(b.pid);
  });

  it(
    "of everything, as a reboot: status says stopped, the next supervisor starts all in order",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      await client.put(web("z"));
      await client.put(web("m", { needs: ["z"] }));
      await client.put(web("a", { needs: ["m"] }));
      await killSupervisor(stack);
      for (const name of ["z", "m", "a"]) killService(stack, name);
      await eventually(() => stack.processes()).toEqual([]);
      const down = statusOf(stack.state);
      expect(down.supervisor).toBe(false);
      expect(down.services.map((s) => [s.state, s.pid])).toEqual([
        ["stopped", undefined],
        ["stopped", undefined],
        ["stopped", undefined],
      ]);

      await ensureSupervisor(stack.state, stack.project);
      await eventually(() => statusOf(stack.state).services.map((s) => s.state)).toEqual([
        "ready",
        "ready",
        "ready",
      ]);
      const since = ["z", "m", "a"].map((name) => stack.status(name).since ?? "");
      expect([...since].sort()).toEqual(since);
      expect(stack.processes()).toHaveLength(3);
    },
  );

  it("of the supervisor at any moment of a start, a change or a removal: never two processes, never one unknown", {
    timeout: 120_000,
  }, async () => {
    const stack = newStack();
    let seed = 7;
    const random = () => {
      seed = (seed * 16807) % 2147483647; // Park and Miller: the same moments in each run
      return seed / 2147483647;
    };
    for (let round = 0; round < 15; round++) {
      const client = await ensureSupervisor(stack.state, stack.project);
      const work =
        round % 5 === 4 ? client.remove("a") : client.put(web("a", { env: { ROUND: String(round) } }));
      const outcome = work.catch((error: unknown) => error);
      await sleep(random() * 250);
      await killSupervisor(stack);
      await outcome;
      // What runs unrecorded must end by itself: a held child whose supervisor is gone.
      const recorded = () => statusOf(stack.state).services.map((s) => s.pid);
      await eventually(() => stack.processes().every((row) => recorded().includes(row.pid))).toBe(true);
    }
    const client = await ensureSupervisor(stack.state, stack.project);
    const last = await client.put(web("a", { env: { ROUND: "last" } }));
    expect(JSON.parse(await ask(last, "/env"))).toMatchObject({ ROUND: "last" });
    expect(stack.processes().map((row) => row.pid)).toEqual([last.pid]);
  });

  it(
    "of the supervisor, then down: shutdownStack and the removal of one service work without it",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const a = await client.put(web("a"));
      await client.put(web("b"));
      await killSupervisor(stack);
      await endService(stack.state, "b");
      expect(stack.processes().map((row) => row.pid)).toEqual([a.pid]);
      expect(statusOf(stack.state).services.map((s) => s.name)).toEqual(["a"]);
      await shutdownStack(stack.state);
      expect(stack.processes()).toEqual([]);
      expect(statusOf(stack.state)).toEqual({ supervisor: false, services: [] });
    },
  );

  it("and a services.json that cannot be read: up says so, down ends the processes", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    await client.put(web("a"));
    await killSupervisor(stack);
    writeFileSync(join(stack.state, "services.json"), "{");
    expect(() => statusOf(stack.state)).toThrow(/LOC-STATE-DAMAGED/);
    await shutdownStack(stack.state);
    expect(stack.processes()).toEqual([]);
  });
});

describe("a hanging supervisor", () => {
  it("is told as LOC-SUPERVISOR-DOWN, and down ends it", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    await client.put(web("a"));
    const supervisor = stack.supervisor();
    process.kill(supervisor.pid, "SIGSTOP");
    await expect(client.stop("a")).rejects.toMatchObject({ code: "LOC-SUPERVISOR-DOWN" });
    await shutdownStack(stack.state);
    expect(isAlive(supervisor)).toBe(false);
    expect(stack.processes()).toEqual([]);
  });
});

describe("ports", () => {
  it(
    "a remembered one taken by somebody is replaced, and who was given it is started again",
    long,
    async () => {
      const stack = newStack();
      const client = await ensureSupervisor(stack.state, stack.project);
      const store = await client.put(web("store"));
      const agent = await client.put(
        web("agent", { needs: ["store"], env: { STORE: "{{port:store/http}}" } }),
      );
      const other = await client.put(web("other", { needs: ["store"] }));
      await client.stop("store");
      const thief = await listen(store.ports.http ?? 0);
      const moved = await client.start("store");
      await close(thief);
      expect(moved.ports.http).not.toBe(store.ports.http);
      const restarted = await client.get("agent");
      expect(restarted.state).toBe("ready");
      expect(restarted.pid).not.toBe(agent.pid);
      expect(JSON.parse(await ask(restarted, "/env"))).toMatchObject({ STORE: String(moved.ports.http) });
      expect((await client.get("other")).pid).toBe(other.pid);
    },
  );
});

describe("a crash loop", () => {
  it("is backed off from, counted, told, and ended by a specification that works", long, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    // Ready once, then it ends at each start.
    const code =
      'const fs = require("node:fs"); if (fs.existsSync("seen")) { console.error("seen it"); process.exit(1); } fs.writeFileSync("seen", "");';
    const status = await client.put(web("loop", {}, code));
    await ask(status, "/crash").catch(() => "gone");
    await eventually(() => stack.status("loop").restarts).toBe(3);
    await eventually(() => stack.status("loop")).toMatchObject({
      state: "failed",
      problem: { code: "LOC-START-FAILED" },
    });
    expect(stack.status("loop").problem?.remedy).toContain("seen it");
    // After 0.2, 0.4 and 0.8 s the fourth try is 1.6 s away: none comes at once.
    await sleep(500);
    expect(stack.status("loop").restarts).toBe(3);
    expect(await client.put(web("loop"))).toMatchObject({ state: "ready", restarts: 0 });
  });
});

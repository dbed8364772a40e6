import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Change, Store } from "../../../policy/platform/store.js";
import { findProgram, startStore, type TestStore, until } from "../../support/servers.js";

let server: TestStore;
let store: Store;
let other: Store;

beforeAll(async () => {
  server = await startStore();
  store = await Store.connect({ endpoint: server.endpoint });
  other = await Store.connect({ endpoint: server.endpoint });
}, 60_000);

afterAll(async () => {
  await store.close();
  await other.close();
  await server.stop();
}, 60_000);

const etcdctl = (...args: string[]) =>
  promisify(execFile)(findProgram("etcdctl"), ["--endpoints", server.endpoint, ...args], {
    env: { ...process.env, ETCDCTL_API: "3" },
  });

/** What a listener was told, without the revisions. */
const told = (changes: readonly Change[]) => changes.map((c) => [c.type, c.key, c.value]);

describe("Store", () => {
  it("gives back what was put, with its revision", async () => {
    const revision = await store.put("/kv/a", { deep: [1, "é"] });
    expect(await other.get("/kv/a")).toEqual({ key: "/kv/a", value: { deep: [1, "é"] }, revision });
    expect(await other.get("/kv/none")).toBeUndefined();
    const second = await store.put("/kv/b", 2);
    expect(await other.list("/kv/")).toEqual({
      entries: [
        { key: "/kv/a", value: { deep: [1, "é"] }, revision },
        { key: "/kv/b", value: 2, revision: second },
      ],
      revision: second,
    });
    const gone = await store.delete("/kv/a");
    expect(gone).toBe(second + 1);
    expect(await other.get("/kv/a")).toBeUndefined();
  });

  it("writes on a condition, and tells a conflict", async () => {
    const first = await store.put("/if/a", 1, { ifRevision: 0 });
    await expect(other.put("/if/a", 2, { ifRevision: 0 })).rejects.toMatchObject({
      code: "STO-CONFLICT",
      path: "/if/a",
    });
    const second = await other.put("/if/a", 2, { ifRevision: first });
    await expect(store.put("/if/a", 3, { ifRevision: first })).rejects.toMatchObject({
      code: "STO-CONFLICT",
    });
    await expect(store.delete("/if/a", { ifRevision: first })).rejects.toMatchObject({
      code: "STO-CONFLICT",
    });
    await store.delete("/if/a", { ifRevision: second });
    expect(await store.get("/if/a")).toBeUndefined();
  });

  it("opens only while all compared revisions hold, and once", async () => {
    const a = await store.put("/open/a", 1);
    const b = await store.put("/open/b", 1);
    const compare = [
      { key: "/open/a", revision: a },
      { key: "/open/b", revision: b },
    ];
    const opened = await store.open(compare, { key: "/open/r1", value: { round: 1 } });
    expect(opened).toEqual({ revision: b + 1 });
    expect((await store.get("/open/r1"))?.revision).toBe(b + 1);
    expect(await store.open(compare, { key: "/open/r1", value: { round: 1 } })).toEqual({
      conflict: true,
      revision: b + 1,
    });
    const changed = await other.put("/open/a", 2);
    expect(await store.open(compare, { key: "/open/r2", value: {} })).toEqual({
      conflict: true,
      revision: changed,
    });
    expect(await store.get("/open/r2")).toBeUndefined();
    // An agreement that is gone has no revision any more; revision 0 means absent.
    await store.delete("/open/b");
    expect(await store.open([{ key: "/open/b", revision: b }], { key: "/open/r2", value: {} })).toMatchObject(
      { conflict: true },
    );
    expect(
      await store.open([{ key: "/open/b", revision: 0 }], { key: "/open/r2", value: {} }),
    ).toHaveProperty("revision");
  });

  it("never opens after a change that was acknowledged", async () => {
    for (let i = 0; i < 50; i += 1) {
      const key = `/race/${i}`;
      const revision = await store.put(key, "allowed");
      const [opened, changed] = await Promise.all([
        store.open([{ key, revision }], { key: `${key}/round`, value: i }),
        other.put(key, "narrowed"),
      ]);
      if ("conflict" in opened) expect(await store.get(`${key}/round`)).toBeUndefined();
      else expect(opened.revision).toBeLessThan(changed);
    }
  });

  it("tells history in order, bounded by now and its prefix", async () => {
    const first = await store.put("/h/a", 1);
    await store.put("/elsewhere", 1);
    await store.put("/h/b", 1);
    await store.delete("/h/a");
    const last = await store.put("/h/a", 2);
    await store.put("/elsewhere", 2);
    const changes = await other.history("/h/", first);
    expect(told(changes)).toEqual([
      ["put", "/h/a", 1],
      ["put", "/h/b", 1],
      ["delete", "/h/a", undefined],
      ["put", "/h/a", 2],
    ]);
    expect(changes.at(-1)?.revision).toBe(last);
    expect(await other.history("/h/", first + 1)).toHaveLength(3);
    expect(await other.history("/h/", last + 1)).toEqual([]);
    expect(await other.history("/h/", last + 1_000)).toEqual([]);
  });

  it("rejects a store that is not there within the time it says", async () => {
    const away = await startStore();
    const late = await Store.connect({ endpoint: away.endpoint });
    await away.stop();
    const begin = performance.now();
    await expect(late.put("/x", 1)).rejects.toMatchObject({ code: "STO-UNREACHABLE" });
    expect(performance.now() - begin).toBeLessThan(12_000);
    await late.close();
  }, 30_000);
});

describe("Mirror", () => {
  it("holds what is there, follows what changes, and tells it", async () => {
    await store.put("/m1/a", 1);
    const mirror = await other.mirror<number>("/m1/");
    expect(mirror.all().map((e) => [e.key, e.value])).toEqual([["/m1/a", 1]]);
    const changes: Change<number>[] = [];
    mirror.onChange((c) => changes.push(c));
    await store.put("/m1/b", 2);
    await store.put("/m10/not-ours", 1);
    await store.delete("/m1/a");
    const last = await store.put("/m1/b", 3);
    await mirror.seen(last, 2_000);
    expect(mirror.get("/m1/b")).toEqual({ key: "/m1/b", value: 3, revision: last });
    expect(mirror.get("/m1/a")).toBeUndefined();
    expect(told(changes)).toEqual([
      ["put", "/m1/b", 2],
      ["delete", "/m1/a", undefined],
      ["put", "/m1/b", 3],
    ]);
    await mirror.close();
  });

  it("sees a revision at which nothing of its own changed, and is behind one that does not exist yet", async () => {
    const mirror = await other.mirror<number>("/m2/");
    const elsewhere = await store.put("/elsewhere", 3);
    const begin = performance.now();
    await mirror.seen(elsewhere, 2_000);
    expect(performance.now() - begin).toBeLessThan(1_000);
    await expect(mirror.seen(elsewhere + 1_000, 200)).rejects.toMatchObject({
      code: "STO-BEHIND",
      path: "/m2/",
    });
    const next = await store.put("/m2/a", 1);
    await mirror.seen(next, 2_000);
    expect(mirror.get("/m2/a")?.value).toBe(1);
    await mirror.close();
  });

  it("counts a key whose value is not JSON as absent", async () => {
    const changes: Change[] = [];
    await store.put("/m3/a", { fine: true });
    const mirror = await other.mirror("/m3/");
    mirror.onChange((c) => changes.push(c));
    await etcdctl("put", "/m3/a", "{not json");
    await until("it was told", () => changes.length > 0);
    expect(mirror.get("/m3/a")).toBeUndefined();
    expect(told(changes)).toEqual([["put", "/m3/a", undefined]]);
    const next = await store.put("/m3/a", 1);
    await mirror.seen(next, 2_000);
    expect(mirror.get("/m3/a")?.value).toBe(1);
    await mirror.close();
  });

  it("misses no change across restarts of the store, also by kill -9", async () => {
    const mirror = await other.mirror<number>("/m4/");
    const seen: number[] = [];
    mirror.onChange((c) => seen.push(c.value ?? -1));
    const written: number[] = [];
    let last = 0;
    for (let i = 0; i < 30; i += 1) {
      last = await store.put("/m4/a", i);
      written.push(i);
      if (i === 10) await server.restart();
      if (i === 20) {
        await server.kill9();
        // What is written now is tried again until the store is back.
        const during = store.put("/m4/b", 100);
        written.push(100);
        await server.restart();
        await during;
      }
    }
    await mirror.seen(last, 10_000);
    expect(seen).toEqual(written);
  }, 60_000);

  it("tells the difference when history was compacted away in between", async () => {
    const alone = await startStore();
    const writer = await Store.connect({ endpoint: alone.endpoint });
    // Its connection goes through a door that we can shut.
    const door = await openDoor(alone.endpoint);
    const reader = await Store.connect({ endpoint: door.endpoint });
    await writer.put("/m5/stays", 1);
    await writer.put("/m5/changes", 1);
    await writer.put("/m5/goes", 1);
    const mirror = await reader.mirror<number>("/m5/");
    const changes: Change<number>[] = [];
    mirror.onChange((c) => changes.push(c));
    door.shut();
    await writer.put("/m5/changes", 2);
    await writer.put("/m5/changes", 3);
    await writer.put("/m5/comes-and-goes", 1);
    await writer.delete("/m5/comes-and-goes");
    await writer.put("/m5/comes", 1);
    const last = await writer.delete("/m5/goes");
    await promisify(execFile)(
      findProgram("etcdctl"),
      ["--endpoints", alone.endpoint, "compact", String(last)],
      {
        env: { ...process.env, ETCDCTL_API: "3" },
      },
    );
    await expect(writer.history("/m5/", 2)).rejects.toMatchObject({ code: "STO-COMPACTED" });
    door.open();
    await mirror.seen(last, 10_000);
    expect(mirror.all().map((e) => [e.key, e.value])).toEqual([
      ["/m5/changes", 3],
      ["/m5/comes", 1],
      ["/m5/stays", 1],
    ]);
    expect(told(changes).sort()).toEqual([
      ["delete", "/m5/goes", undefined],
      ["put", "/m5/changes", 3],
      ["put", "/m5/comes", 1],
    ]);
    const next = await writer.put("/m5/stays", 2);
    await mirror.seen(next, 5_000);
    expect(mirror.get("/m5/stays")?.value).toBe(2);
    await reader.close();
    await writer.close();
    door.shut();
    await alone.stop();
  }, 60_000);
});

describe("presence", () => {
  it("is there while kept, and gone when closed", async () => {
    const presence = await store.presence("/p/a", { name: "a" }, 5);
    expect((await other.get("/p/a"))?.value).toEqual({ name: "a" });
    await presence.close();
    expect(await other.get("/p/a")).toBeUndefined();
  });

  it("outlives its time to live, comes back when its lease is lost, and stays through a restart", async () => {
    const presence = await store.presence("/p/b", "here", 1);
    const { revision } = (await other.get("/p/b")) ?? { revision: 0 };
    await new Promise((r) => setTimeout(r, 2_500));
    expect((await other.get("/p/b"))?.revision).toBe(revision);
    const { stdout } = await etcdctl("lease", "list");
    for (const id of stdout.match(/[0-9a-f]{6,16}/g) ?? []) await etcdctl("lease", "revoke", id);
    await until("it is back", async () => ((await other.get("/p/b"))?.revision ?? 0) > revision, 10);
    await server.restart();
    await new Promise((r) => setTimeout(r, 2_500));
    expect((await other.get("/p/b"))?.value).toBe("here");
    await presence.close();
  }, 40_000);
});

/** A TCP relay that can be shut and opened again. */
async function openDoor(target: string): Promise<{ endpoint: string; open(): void; shut(): void }> {
  const { connect, createServer } = await import("node:net");
  const [host = "", port = ""] = target.split(":");
  const sockets = new Set<import("node:net").Socket>();
  let open = true;
  const server = createServer((socket) => {
    if (!open) return socket.destroy();
    const onward = connect({ host, port: Number(port) });
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    return undefined;
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  return {
    endpoint: `127.0.0.1:${(server.address() as { port: number }).port}`,
    open() {
      open = true;
    },
    shut() {
      open = false;
      for (const socket of sockets) socket.destroy();
    },
  };
}

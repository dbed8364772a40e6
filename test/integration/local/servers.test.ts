import { connect } from "amqplib";
import { describe, expect, it } from "vitest";
import { startBroker, startOwnBroker, startStore } from "../../support/servers.js";

describe("the tests' own servers", () => {
  it("runs a broker with the users asked for, again after a kill", { timeout: 120_000 }, async () => {
    const broker = await startOwnBroker({ users: [{ name: "ada", password: "pw é", read: "^mine$" }] });
    const url = { hostname: broker.host, port: broker.port, username: "ada", password: "pw é" };
    const first = await connect(url);
    first.on("error", () => undefined);
    await broker.kill9();
    await expect(connect(url)).rejects.toThrow(/ECONNREFUSED/);
    await broker.restart();
    // RabbitMQ keeps a queue over kill -9 only when it is older than some seconds, so what is kept is asked of an orderly restart.
    const again = await connect(url);
    const channel = await again.createConfirmChannel();
    await channel.assertQueue("mine", { durable: true });
    channel.sendToQueue("mine", Buffer.from("kept"), { persistent: true });
    await channel.waitForConfirms();
    await again.close();
    await broker.restart();
    const second = await connect(url);
    const got = await (await second.createChannel()).get("mine");
    expect(got !== false && got.content.toString()).toBe("kept");
    await second.close();
    await broker.stop();
    await expect(connect(url)).rejects.toThrow(/ECONNREFUSED/);
  });

  it("hands on a broker as new, also one that was killed", { timeout: 120_000 }, async () => {
    const first = await startBroker({ users: [{ name: "ada", password: "one" }] });
    const left = await connect({ hostname: first.host, port: first.port, username: "ada", password: "one" });
    const cut = new Promise((done) => left.on("error", () => undefined).once("close", done));
    await (await left.createChannel()).assertQueue("left", { durable: true });
    await first.stop();
    await cut;
    // Somebody else may have taken that one in the meantime; after a few it comes round, or these are others that must be as new too.
    for (let turn = 0; turn < 3; turn += 1) {
      const next = await startBroker({ users: [{ name: "bob", password: "two" }] });
      const at = { hostname: next.host, port: next.port };
      await expect(connect({ ...at, username: "ada", password: "one" })).rejects.toThrow(/ACCESS|403/);
      const bob = await connect({ ...at, username: "bob", password: "two" });
      bob.on("error", () => undefined);
      const channel = await bob.createChannel();
      channel.on("error", () => undefined);
      await expect(channel.checkQueue("left")).rejects.toThrow(/404/);
      if (turn === 0) await next.kill9();
      await next.stop();
    }
  });

  it("runs a store that keeps its data over a restart", { timeout: 60_000 }, async () => {
    const store = await startStore();
    const call = async (path: string, body: object) =>
      (
        await fetch(`http://${store.endpoint}/v3/kv/${path}`, { method: "POST", body: JSON.stringify(body) })
      ).json() as Promise<{ kvs?: { value: string }[] }>;
    const key = Buffer.from("k").toString("base64");
    await call("put", { key, value: key });
    await store.restart();
    expect((await call("range", { key })).kvs?.[0]?.value).toBe(key);
    await store.stop();
    await expect(call("range", { key })).rejects.toThrow(/fetch failed/);
  });
});

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEAD_LETTER_QUEUE } from "../../../policy/contract/names.js";
import { Bus, type BusOptions } from "../../../policy/platform/bus.js";
import { startBroker, type TestBroker, until } from "../../support/servers.js";

let broker: TestBroker;
const buses: Bus[] = [];

const options = (service: string, more: Partial<BusOptions> = {}): BusOptions => ({
  host: broker.host,
  port: broker.port,
  user: "guest",
  password: "guest",
  service,
  ...more,
});

async function bus(service: string): Promise<Bus> {
  const made = await Bus.connect(options(service));
  buses.push(made);
  return made;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const words = (body: Uint8Array) => new TextDecoder().decode(body);

beforeAll(async () => {
  broker = await startBroker();
}, 120_000);

afterAll(async () => {
  await Promise.all(buses.map((b) => b.close()));
  await broker.stop();
}, 60_000);

describe("Bus", () => {
  it("carries type, body, correlation id and headers from one service to another", async () => {
    const [a, b] = [await bus("a"), await bus("b")];
    const got: unknown[] = [];
    await b.consume("carry-in", async (m) => {
      got.push([m.type, words(m.body), m.correlationId, m.headers.trace, m.redelivered]);
      return "ack";
    });
    await a.publish("carry-in", "request", bytes("hello"), { correlationId: "c1", headers: { trace: "t" } });
    await until("the message arrived", () => got.length > 0);
    expect(got).toEqual([["request", "hello", "c1", "t", false]]);
  });

  it("rejects an unroutable message at once, and goes on", async () => {
    const a = await bus("a");
    await a.declareQueue("routable-in");
    const begin = performance.now();
    await expect(a.publish("nobody-in", "request", bytes("x"))).rejects.toMatchObject({
      code: "BUS-UNROUTABLE",
      path: "nobody-in",
    });
    expect(performance.now() - begin).toBeLessThan(1_000);
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) =>
        a.publish(i % 2 === 0 ? "routable-in" : "nobody-in", "request", bytes(String(i))),
      ),
    );
    expect(results.map((r) => r.status === "fulfilled")).toEqual(results.map((_, i) => i % 2 === 0));
  });

  it("dead-letters the message of a handler that throws, and serves the next", async () => {
    const a = await bus("a");
    const dead: string[] = [];
    const served: string[] = [];
    await a.consume(
      "throwing-in",
      async (m) => {
        if (words(m.body) === "bad") throw new Error("this handler cannot");
        served.push(words(m.body));
        return "ack";
      },
      { prefetch: 1 },
    );
    // The dead-letter queue has its own arguments: it must exist already, not be declared as ours are.
    await a.consume(
      DEAD_LETTER_QUEUE,
      async (m) => {
        dead.push(words(m.body));
        return "ack";
      },
      { queue: "existing" },
    );
    await a.publish("throwing-in", "request", bytes("bad"));
    await a.publish("throwing-in", "request", bytes("good"));
    await until("both were handled", () => served.length === 1 && dead.length === 1);
    expect([served, dead]).toEqual([["good"], ["bad"]]);
  });

  it("hands a message out again that its handler put back", async () => {
    const a = await bus("a");
    const seen: boolean[] = [];
    await a.consume("again-in", async (m) => {
      seen.push(m.redelivered);
      return m.redelivered ? "ack" : "requeue";
    });
    await a.publish("again-in", "request", bytes("x"));
    await until("it came twice", () => seen.length === 2);
    expect(seen).toEqual([false, true]);
  });

  it("handles no more messages at a time than prefetch, and stop() waits for those at work", async () => {
    const a = await bus("a");
    let running = 0;
    let most = 0;
    let done = 0;
    const gates: (() => void)[] = [];
    const consumer = await a.consume(
      "prefetch-in",
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise<void>((open) => gates.push(open));
        running -= 1;
        done += 1;
        return "ack";
      },
      { prefetch: 2 },
    );
    for (let i = 0; i < 5; i += 1) await a.publish("prefetch-in", "request", bytes(String(i)));
    await until("two are at work", () => running === 2);
    for (const open of gates.splice(0)) open();
    await until("the next two are at work", () => running === 2 && done === 2);
    let stopped = false;
    const stop = consumer.stop().then(() => {
      stopped = true;
    });
    await new Promise((r) => setTimeout(r, 50));
    expect(stopped).toBe(false);
    for (const open of gates.splice(0)) open();
    await stop;
    expect([most, done]).toEqual([2, 4]);
    // The fifth stays in the queue for whoever comes next.
    const rest: string[] = [];
    await a.consume("prefetch-in", async (m) => {
      rest.push(words(m.body));
      return "ack";
    });
    await until("the fifth came", () => rest.length > 0);
    expect(rest).toEqual(["4"]);
  });

  it("refuses a queue that exists with other arguments, and stays usable", async () => {
    const a = await bus("a");
    await expect(a.declareQueue(DEAD_LETTER_QUEUE)).rejects.toMatchObject({
      code: "BUS-QUEUE",
      path: DEAD_LETTER_QUEUE,
    });
    await expect(a.consume(DEAD_LETTER_QUEUE, async () => "ack")).rejects.toMatchObject({
      code: "BUS-QUEUE",
    });
    await a.declareQueue("fine-in");
    await a.publish("fine-in", "request", bytes("x"));
  });

  it("deletes a job's queue; its consumer ends and does not bring it back", async () => {
    const [a, b] = [await bus("a"), await bus("b")];
    await a.declareQueue("job1");
    await b.consume("job1", async () => "ack", { queue: "existing" });
    await a.publish("job1", "microserviceCommunication", bytes("x"));
    await a.deleteQueue("job1");
    await expect(a.publish("job1", "microserviceCommunication", bytes("x"))).rejects.toMatchObject({
      code: "BUS-UNROUTABLE",
    });
    await a.deleteQueue("job1");
  });

  it("declares a service's queue again when somebody deletes it", async () => {
    const [a, b] = [await bus("a"), await bus("b")];
    const got: string[] = [];
    await b.consume("mine-in", async (m) => {
      got.push(words(m.body));
      return "ack";
    });
    await a.deleteQueue("mine-in");
    await until("it is back", () =>
      a.publish("mine-in", "request", bytes("back")).then(
        () => true,
        () => false,
      ),
    );
    await until("it is consumed", () => got.includes("back"));
  });

  it("tells a wrong password apart from a broker that is not there", async () => {
    await expect(Bus.connect(options("a", { password: "wrong" }))).rejects.toMatchObject({
      code: "BUS-AUTH",
      path: "guest",
    });
  });

  it("lets handlers finish and acknowledge before it closes", async () => {
    const [a, b] = [await bus("a"), await bus("b")];
    let begun = false;
    let done = false;
    await b.consume("closing-in", async () => {
      begun = true;
      await new Promise((r) => setTimeout(r, 300));
      done = true;
      return "ack";
    });
    await a.publish("closing-in", "request", bytes("x"));
    await until("it is at work", () => begun);
    await b.close();
    expect(done).toBe(true);
    const again: string[] = [];
    await a.consume("closing-in", async (m) => {
      again.push(words(m.body));
      return "ack";
    });
    await a.publish("closing-in", "request", bytes("next"));
    await until("the next came", () => again.includes("next"));
    expect(again).toEqual(["next"]);
    await expect(b.publish("closing-in", "request", bytes("x"))).rejects.toMatchObject({ code: "BUS-DOWN" });
  });

  it("lives through a restart of the broker: queues, consumers and waiting messages come back", async () => {
    const [a, b] = [await bus("a"), await bus("b")];
    const states: boolean[] = [];
    a.onState((up) => states.push(up));
    const got: string[] = [];
    let finishFirst = () => {};
    await b.consume("restart-in", async (m) => {
      got.push(`${words(m.body)}${m.redelivered ? " again" : ""}`);
      // The first one is at work when the broker goes: its acknowledgement comes too late.
      if (got.length === 1) await new Promise<void>((open) => (finishFirst = open));
      return "ack";
    });
    await a.declareQueue("kept-in");
    await a.publish("kept-in", "request", bytes("kept"));
    await a.publish("restart-in", "request", bytes("first"));
    await until("the first is at work", () => got.length === 1);

    const restarted = broker.restart();
    await until("the loss is noticed", () => states.includes(false));
    await expect(a.publish("restart-in", "request", bytes("lost"))).rejects.toMatchObject({
      code: "BUS-DOWN",
    });
    const patient = a.publish("restart-in", "request", bytes("patient"), { patience: 60_000 });
    finishFirst();
    await restarted;
    await patient;
    await until(
      "the first came again, and the patient one",
      () => got.includes("first again") && got.includes("patient"),
      30,
    );
    expect(got.filter((g) => g === "first again")).toHaveLength(1);
    expect(got).not.toContain("lost");
    expect(states).toEqual([false, true]);
    const kept: string[] = [];
    await b.consume("kept-in", async (m) => {
      kept.push(words(m.body));
      return "ack";
    });
    await until("what was in a queue is still there", () => kept.includes("kept"));
  }, 120_000);

  it("rejects what waits for its confirm when the broker dies, exactly once each", async () => {
    const a = await bus("a");
    await a.declareQueue("flood-in");
    let sending = true;
    let confirmed = 0;
    const results: Promise<string>[] = [];
    const flood = (async () => {
      while (sending) {
        results.push(
          a.publish("flood-in", "request", bytes("x")).then(
            () => {
              confirmed += 1;
              return "ok";
            },
            (e: { code: string }) => e.code,
          ),
        );
        if (results.length % 50 === 0) await new Promise((r) => setTimeout(r, 1));
      }
    })();
    await until("it flows", () => results.length > 500 && confirmed > 0);
    await broker.kill9();
    await until("the loss is noticed", () => !a.up);
    sending = false;
    await flood;
    const codes = new Set(await Promise.all(results));
    expect([...codes].sort()).toEqual(["BUS-DOWN", "ok"]);
    // A service that starts before its broker waits for it.
    const early = bus("early");
    await broker.restart();
    await (await early).publish("flood-in", "request", bytes("early"));
    await until("it is back", () => a.up, 60);
    await a.publish("flood-in", "request", bytes("after"));
  }, 120_000);
});

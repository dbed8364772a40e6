import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelModel, connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerAdmin } from "../../../dynamos/broker-admin.js";
import {
  agentRights,
  BROKER_ADMIN,
  brokerSecret,
  jobsRights,
  jobsUser,
  partyRights,
  QUEUE_ARGUMENTS,
} from "../../../dynamos/broker-definitions.js";
import { coreServices } from "../../../dynamos/services.js";
import { ensureSupervisor, type ServiceStatus, shutdownStack } from "../../../infra/local/index.js";
import { rabbitmqPasswordHash } from "../../../infra/local/rabbitmq-hash.js";
import { StateFolder } from "../../../infra/local/state-folder.js";
import { DEAD_LETTER_QUEUE, EXCHANGE, jobQueue } from "../../../policy/contract/names.js";
import { Bus } from "../../../policy/platform/bus.js";
import { until } from "../../support/servers.js";

const JOB = "0b2e9c7a5d0e4f6a9c552d7b7b1f8a1c";
const rights = agentRights("agent-clientone", "clientone");
const ofJobs = jobsRights("clientone");
const JOBS = jobsUser("clientone");

/** The broker as the supervisor runs it from our specification, in a folder with a blank in its name. */
describe("the broker of a stack", () => {
  const folder = mkdtempSync(join(tmpdir(), "a broker-"));
  const state = join(folder, ".state/test");
  let broker: ServiceStatus;
  let admin: BrokerAdmin;
  const open: ChannelModel[] = [];

  const secret = (user: string): string =>
    readFileSync(new StateFolder(state).ensureSecret(brokerSecret(user)), "utf8");
  const as = async (username: string, password = secret(username)): Promise<ChannelModel> => {
    const connection = await connect({
      hostname: "127.0.0.1",
      port: broker.ports.amqp ?? 0,
      username,
      password,
    });
    connection.on("error", () => undefined);
    open.push(connection);
    return connection;
  };
  /** The broker's answer to what somebody may not do. */
  const refusal = async (
    connection: ChannelModel,
    act: (channel: Awaited<ReturnType<ChannelModel["createConfirmChannel"]>>) => Promise<unknown>,
  ): Promise<string> => {
    const channel = await connection.createConfirmChannel();
    const closed = new Promise<string>((done) => channel.on("error", (error: Error) => done(error.message)));
    const outcome = await Promise.race([
      act(channel).then(
        () => "done",
        (error: Error) => error.message,
      ),
      closed,
    ]);
    return outcome === "done"
      ? "done"
      : /ACCESS_REFUSED/.test(outcome) || /403/.test(await closed)
        ? "refused"
        : outcome;
  };

  beforeAll(async () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
    const supervisor = await ensureSupervisor(state, folder);
    for (const spec of coreServices({ placement: { core: "core", agents: [] } }).slice(0, 2))
      broker = await supervisor.put(spec);
    admin = new BrokerAdmin(broker.ports.management ?? 0, secret(BROKER_ADMIN));
    await admin.put(rights, rabbitmqPasswordHash(secret("agent-clientone")));
    await admin.put(ofJobs, rabbitmqPasswordHash(secret(JOBS)));
  }, 120_000);

  afterAll(async () => {
    for (const connection of open) await connection.close().catch(() => undefined);
    await shutdownStack(state);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("knows an agent from then on", async () => {
    expect(await admin.has(rights)).toBe(true);
    expect(await admin.has(agentRights("agent-clientone", "another"))).toBe(false);
    expect(await admin.has(agentRights("agent-nobody", "nobody"))).toBe(false);
  });

  it("can be told twice", async () => {
    await admin.put(rights, rabbitmqPasswordHash(secret("agent-clientone")));
    expect(await admin.has(rights)).toBe(true);
  });

  it("has no guest and takes no wrong password", async () => {
    await expect(as("guest", "guest")).rejects.toThrow(/ACCESS_REFUSED|403/);
    await expect(as("agent-clientone", "wrong")).rejects.toThrow(/ACCESS_REFUSED|403/);
  });

  it("carries an agent's messages to the orchestrator, and the orchestrator's to it", async () => {
    const [agent, orchestrator] = [await as("agent-clientone"), await as("orchestrator")];
    const received = async (connection: ChannelModel, queue: string): Promise<string> =>
      new Promise((done, failed) => {
        connection
          .createChannel()
          .then((channel) =>
            channel.consume(queue, (m) => m !== null && done(m.content.toString()), { noAck: true }),
          )
          .catch(failed);
      });
    const [up, down] = [received(orchestrator, "orchestrator-in"), received(agent, "clientone-in")];
    for (const [connection, key] of [
      [agent, "orchestrator-in"],
      [orchestrator, "clientone-in"],
    ] as const) {
      const channel = await connection.createConfirmChannel();
      channel.publish(EXCHANGE, key, Buffer.from(`to ${key}`), { mandatory: true });
      await channel.waitForConfirms();
    }
    expect(await up).toBe("to orchestrator-in");
    expect(await down).toBe("to clientone-in");
  });

  it("lets an agent make its jobs' queues, and drops what it does not take into the dead-letter queue", async () => {
    const agent = await as("agent-clientone");
    const channel = await agent.createConfirmChannel();
    const queue = jobQueue(JOB, "clientone");
    await channel.assertQueue(queue, { durable: true, arguments: QUEUE_ARGUMENTS });
    await channel.bindQueue(queue, EXCHANGE, queue);
    channel.publish(EXCHANGE, queue, Buffer.from("bad"), { mandatory: true });
    await channel.waitForConfirms();
    const message = await channel.get(queue);
    if (message === false) throw new Error("the message is not there");
    channel.nack(message, false, false);
    await channel.deleteQueue(queue);
    const orchestrator = await (await as("orchestrator")).createChannel();
    await until(
      "the dead letter",
      async () => (await orchestrator.checkQueue(DEAD_LETTER_QUEUE)).messageCount > 0,
    );
  });

  it("refuses an agent what is not its own", async () => {
    const agent = await as("agent-clientone");
    expect(await refusal(agent, (c) => c.get("orchestrator-in"))).toBe("refused");
    expect(
      await refusal(agent, (c) =>
        c.assertQueue("clienttwo-in", { durable: true, arguments: QUEUE_ARGUMENTS }),
      ),
    ).toBe("refused");
    expect(
      await refusal(agent, (c) =>
        c.assertQueue(jobQueue(JOB, "clienttwo"), { durable: true, arguments: QUEUE_ARGUMENTS }),
      ),
    ).toBe("refused");
    expect(await refusal(agent, (c) => c.bindQueue("clientone-in", EXCHANGE, "orchestrator-in"))).toBe(
      "refused",
    );
    expect(await refusal(agent, (c) => c.deleteExchange(EXCHANGE))).toBe("refused");
    for (const key of ["policyEnforcer-in", "api-gateway-in", "clienttwo-in"]) {
      expect(
        await refusal(agent, async (c) => {
          c.publish(EXCHANGE, key, Buffer.from("x"));
          await c.waitForConfirms();
        }),
        key,
      ).toBe("refused");
    }
    expect(
      await refusal(agent, async (c) => {
        c.publish("", "policyEnforcer-in", Buffer.from("x"));
        await c.waitForConfirms();
      }),
    ).toBe("refused");
  });

  it("lets a party's microservices read their job's queue and answer their agent, as they do it", async () => {
    // A party whose queue nobody else here listens on.
    const users = partyRights("agent-uva", "UVA");
    for (const one of users) await admin.put(one, rabbitmqPasswordHash(secret(one.user)));
    const [asAgent, asJob] = await Promise.all(
      users.map(({ user }) =>
        Bus.connect({
          host: "127.0.0.1",
          port: broker.ports.amqp ?? 0,
          user,
          password: secret(user),
          service: user,
        }),
      ),
    );
    if (asAgent === undefined || asJob === undefined) throw new Error("not connected");
    const queue = jobQueue(JOB, "UVA");
    await asAgent.declareQueue(queue);
    const answered = new Promise<string>((done) => {
      void asAgent.consume("UVA-in", async ({ body }) => {
        done(Buffer.from(body).toString());
        return "ack";
      });
    });
    await asJob.consume(
      queue,
      async ({ body }) => {
        await asJob.publish("UVA-in", "x", Buffer.from(`answer to ${Buffer.from(body).toString()}`));
        return "ack";
      },
      { queue: "existing" },
    );
    await asAgent.publish(queue, "x", Buffer.from("a step"));
    expect(await answered).toBe("answer to a step");
    await asJob.close();
    await asAgent.deleteQueue(queue);
    await asAgent.close();
    for (const one of users) await admin.remove(one);
  });

  it("refuses microservices every other queue, and all that is not reading and answering", async () => {
    const [agent, orchestrator, jobs] = await Promise.all([
      as("agent-clientone"),
      as("orchestrator"),
      as(JOBS),
    ]);
    expect(await admin.has(ofJobs)).toBe(true);
    expect(await admin.has(jobsRights("another"))).toBe(false);
    const [own, others] = [jobQueue(JOB, "clientone"), jobQueue(JOB, "clienttwo")];
    // So that what is refused is there: a queue that is not gives another error.
    const second = agentRights("agent-clienttwo", "clienttwo");
    await admin.put(second, rabbitmqPasswordHash(secret("agent-clienttwo")));
    await (await (await as("agent-clienttwo")).createChannel()).assertQueue(others, {
      arguments: QUEUE_ARGUMENTS,
    });
    await (await agent.createChannel()).assertQueue(own, { arguments: QUEUE_ARGUMENTS });
    await (await orchestrator.createChannel()).checkQueue("orchestrator-in");
    for (const queue of [
      "clientone-in",
      "clienttwo-in",
      others,
      "orchestrator-in",
      "policyEnforcer-in",
      DEAD_LETTER_QUEUE,
    ])
      expect(await refusal(jobs, (c) => c.get(queue)), queue).toBe("refused");
    expect(await refusal(jobs, (c) => c.get(own))).toBe("done");
    expect(await refusal(jobs, (c) => c.assertQueue("", {})), "a queue of its own").toBe("refused");
    expect(await refusal(jobs, (c) => c.assertQueue(jobQueue(JOB.replace("0", "1"), "clientone")))).toBe(
      "refused",
    );
    expect(await refusal(jobs, (c) => c.deleteQueue(own))).toBe("refused");
    expect(await refusal(jobs, (c) => c.purgeQueue(others))).toBe("refused");
    expect(await refusal(jobs, (c) => c.bindQueue(own, EXCHANGE, "orchestrator-in"))).toBe("refused");
    for (const [exchange, key] of [
      [EXCHANGE, "orchestrator-in"],
      [EXCHANGE, "policyEnforcer-in"],
      [EXCHANGE, "clienttwo-in"],
      [EXCHANGE, own],
      ["", own],
      ["", "policyEnforcer-in"],
    ] as const)
      expect(
        await refusal(jobs, async (c) => {
          c.publish(exchange, key, Buffer.from("x"));
          await c.waitForConfirms();
        }),
        `${exchange} ${key}`,
      ).toBe("refused");
    const cleaner = await agent.createChannel();
    await cleaner.deleteQueue(own);
    await admin.remove(second);
  });

  it("forgets an agent that leaves, and ends its connections", async () => {
    const agent = await as("agent-clientone");
    const closed = new Promise((done) => agent.once("close", done));
    await admin.remove(rights);
    await closed;
    expect(await admin.has(rights)).toBe(false);
    await expect(as("agent-clientone")).rejects.toThrow(/ACCESS_REFUSED|403/);
    await admin.remove(rights);
    await admin.remove(ofJobs);
    expect(await admin.has(ofJobs)).toBe(false);
    await expect(as(JOBS)).rejects.toThrow(/ACCESS_REFUSED|403/);
  });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelModel, connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  BROKER_ADMIN,
  brokerDefinitions,
  brokerSecret,
  partyRights,
} from "../../../dynamos/broker-definitions.js";
import { coreServices } from "../../../dynamos/services.js";
import { ensureSupervisor, type ServiceStatus, shutdownStack } from "../../../infra/local/index.js";
import { rabbitmqPasswordHash } from "../../../infra/local/rabbitmq-hash.js";
import { StateFolder } from "../../../infra/local/state-folder.js";
import { applyDefinitions } from "../../../policy/setup/broker-users.js";

/** What the Job of a cluster does, against a real broker. */
describe("the Job that tells a running broker who its users are", () => {
  const folder = mkdtempSync(join(tmpdir(), "broker-users-"));
  const state = join(folder, ".state/test");
  let broker: ServiceStatus;
  const open: ChannelModel[] = [];

  const secret = (user: string): string =>
    readFileSync(new StateFolder(state).ensureSecret(brokerSecret(user)), "utf8");
  /** The definitions of a marketplace with these parties, filled in as its component does. */
  const definitions = (...parties: readonly string[]): string =>
    brokerDefinitions(parties.flatMap((party) => partyRights(`agent-${party.toLowerCase()}`, party))).replace(
      /\{\{rabbitmqHash:([^{}]+)\}\}/g,
      (_, name: string) =>
        rabbitmqPasswordHash(readFileSync(new StateFolder(state).ensureSecret(name), "utf8")),
    );
  const management = () => ({
    url: `http://127.0.0.1:${broker.ports.management}`,
    user: BROKER_ADMIN,
    password: secret(BROKER_ADMIN),
  });
  const as = async (username: string): Promise<ChannelModel> => {
    const options = {
      hostname: "127.0.0.1",
      port: broker.ports.amqp ?? 0,
      username,
      password: secret(username),
    };
    const connection = await connect(options);
    connection.on("error", () => undefined);
    open.push(connection);
    return connection;
  };

  beforeAll(async () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
    const supervisor = await ensureSupervisor(state, folder);
    for (const spec of coreServices({ placement: { core: "core", agents: [] } }).slice(0, 2))
      broker = await supervisor.put(spec);
  }, 120_000);

  afterAll(async () => {
    for (const connection of open) await connection.close().catch(() => undefined);
    await shutdownStack(state);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("brings an agent in and takes another away, and disturbs nobody else", async () => {
    expect(await applyDefinitions(management(), definitions("ClientOne", "clienttwo"))).toEqual({
      users: [],
      queues: [],
    });
    const [stays, leaves] = [await as("agent-clientone"), await as("agent-clienttwo")];
    const channel = await stays.createChannel();
    const closed = new Promise<string>((done) => leaves.once("close", () => done("closed")));

    expect(await applyDefinitions(management(), definitions("ClientOne", "clientthree"))).toEqual({
      users: ["agent-clienttwo", "jobs-clienttwo"],
      queues: ["clienttwo-in"],
    });
    expect(await closed).toBe("closed");
    await expect(as("agent-clienttwo")).rejects.toThrow(/ACCESS_REFUSED|403/);
    await as("agent-clientthree");
    await as("jobs-clientthree");
    // The same connection and channel as before.
    expect(await channel.checkQueue("ClientOne-in")).toMatchObject({ queue: "ClientOne-in" });
    expect(await (await stays.createChannel()).checkExchange("topic_exchange")).toBeDefined();
  });

  it("may be done again", async () => {
    const nothing = { users: [], queues: [] };
    expect(await applyDefinitions(management(), definitions("ClientOne", "clientthree"))).toEqual(nothing);
  });

  it("says who refused, or that nobody answered", async () => {
    await expect(
      applyDefinitions({ ...management(), password: "wrong" }, definitions()),
    ).rejects.toMatchObject({ code: "BUS-ADMIN" });
    await expect(
      applyDefinitions({ ...management(), url: "http://127.0.0.1:9", patienceMs: 100 }, definitions()),
    ).rejects.toMatchObject({ code: "BUS-ADMIN-UNREACHABLE" });
  });
});

import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { connect as connectBroker } from "amqplib";
import { describe, expect, it } from "vitest";
import { ensureSupervisor, type ServiceSpec, shutdownStack, statusOf } from "../../../infra/local/index.js";
import { findProgram } from "../../support/servers.js";
import { eventually, killService, killSupervisor, newStack } from "./stack-fixture.js";

const epmd: ServiceSpec = {
  name: "epmd",
  node: "core",
  command: ["{{tool:epmd}}", "-address", "127.0.0.1", "-port", "{{port:epmd}}"],
  ports: { epmd: 0 },
  ready: { tcp: "epmd" },
};

const broker: ServiceSpec = {
  name: "broker",
  node: "core",
  command: ["{{tool:rabbitmq-server}}"],
  env: {
    HOME: "{{folder}}",
    ERL_EPMD_PORT: "{{port:epmd/epmd}}",
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: "broker@localhost",
    RABBITMQ_DIST_PORT: "{{port:distribution}}",
    RABBITMQ_MNESIA_BASE: "{{folder}}/data",
    RABBITMQ_LOG_BASE: "{{folder}}/log",
    RABBITMQ_CONFIG_FILE: "{{folder}}/rabbitmq.conf",
    RABBITMQ_ENABLED_PLUGINS_FILE: "{{folder}}/plugins",
    RABBITMQ_PID_FILE: "{{folder}}/pid",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
  },
  ports: { amqp: 0, distribution: 0 },
  files: [
    { path: "plugins", content: "[].\n" },
    {
      path: "rabbitmq.conf",
      content:
        "listeners.tcp.1 = 127.0.0.1:{{port:amqp}}\nlog.console = true\nlog.file = false\nload_definitions = {{folder}}/definitions.json\n",
    },
    {
      path: "definitions.json",
      content: JSON.stringify({
        vhosts: [{ name: "/" }],
        users: [
          {
            name: "ada",
            password_hash: "{{rabbitmqHash:broker-ada}}",
            hashing_algorithm: "rabbit_password_hashing_sha256",
            tags: "",
          },
        ],
        permissions: [{ user: "ada", vhost: "/", configure: ".*", write: ".*", read: ".*" }],
      }),
    },
  ],
  ready: { tcp: "amqp" },
  needs: ["epmd"],
  startSeconds: 120,
  stopSeconds: 20,
};

const peer = "http://127.0.0.1:{{port:peer}}";
const client = "http://127.0.0.1:{{port:client}}";
const store: ServiceSpec = {
  name: "store",
  node: "core",
  command: [
    "{{tool:etcd}}",
    "--name=store",
    "--data-dir={{folder}}/data",
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=store=${peer}`,
  ],
  ports: { client: 0, peer: 0 },
  ready: { http: "client", path: "/health" },
};

function isOpen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => done(true)).once("error", () => done(false));
    socket.once("connect", () => socket.destroy());
  });
}

describe("RabbitMQ and etcd as services, in a path with a space", () => {
  it("come up with a hashed password, keep their data over kills, and leave nothing", {
    timeout: 180_000,
  }, async () => {
    for (const name of ["epmd", "rabbitmq-server", "etcd"])
      process.env.PATH += delimiter + dirname(findProgram(name));
    const stack = newStack();
    expect(stack.state).toContain(" ");
    const supervisor = await ensureSupervisor(stack.state, stack.project);
    const [brokerStatus, storeStatus] = await Promise.all([
      supervisor.put(epmd).then(() => supervisor.put(broker)),
      supervisor.put(store),
    ]);
    // Read after a service was rendered with it; the password itself is in no record.
    const password = readFileSync(join(stack.state, "secrets", "broker-ada"), "utf8");
    const open = () =>
      connectBroker({
        hostname: "127.0.0.1",
        port: stack.status("broker").ports.amqp ?? 0,
        username: "ada",
        password,
      });
    const connection = await open();
    connection.on("error", () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on("error", () => undefined);
    await channel.assertQueue("kept", { durable: true });
    channel.sendToQueue("kept", Buffer.from("message"), { persistent: true });
    await channel.waitForConfirms();
    await expect(
      connectBroker({
        hostname: "127.0.0.1",
        port: brokerStatus.ports.amqp ?? 0,
        username: "ada",
        password: "x",
      }),
    ).rejects.toThrow();
    const health = await fetch(`http://127.0.0.1:${storeStatus.ports.client}/health`);
    expect(await health.json()).toEqual({ health: "true" });
    for (const path of [join(stack.state, "services.json"), stack.status("broker").log]) {
      expect(readFileSync(path, "utf8")).not.toContain(password);
    }

    // A power cut of broker and supervisor: the next supervisor starts the broker again, epmd and store never stopped.
    const before = { epmd: stack.status("epmd").pid, store: stack.status("store").pid };
    await killSupervisor(stack);
    killService(stack, "broker");
    await eventually(() => stack.status("broker").state).toBe("stopped");
    const next = await ensureSupervisor(stack.state, stack.project);
    expect(await next.put(broker)).toMatchObject({ state: "ready", ports: brokerStatus.ports });
    expect({ epmd: stack.status("epmd").pid, store: stack.status("store").pid }).toEqual(before);
    const again = await open();
    const message = await (await again.createChannel()).get("kept");
    expect(message !== false && message.content.toString()).toBe("message");
    await again.close();

    const ports = statusOf(stack.state).services.flatMap((service) => Object.values(service.ports));
    expect(await Promise.all(ports.map(isOpen))).toEqual(ports.map(() => true));
    await shutdownStack(stack.state);
    expect(stack.processes()).toEqual([]);
    expect(await Promise.all(ports.map(isOpen))).toEqual(ports.map(() => false));
  });
});

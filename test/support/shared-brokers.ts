/**
 * Brokers that test files use one after another: a RabbitMQ server takes six seconds of processor time to start, and far less to be made as new.
 *
 * The keeper lives in vitest's own process (its `globalSetup`) and has as many brokers as were asked for at once. A file that takes one has it
 * alone until it stops it or its process ends; then its virtual host with all queues and connections is taken away, and all users.
 */
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import {
  type BrokerUser,
  brokerDefinitions,
  type OwnBroker,
  startOwnBroker,
  type TestBroker,
} from "./servers.js";

/** Where the keeper listens on the loopback, in the environment of every test process. */
const PORT = "TEST_BROKERS_PORT";

interface Taken {
  readonly host: string;
  readonly port: number;
  readonly folder: string;
}

/** What a test file asks for: first a broker with these users, then things to be done to it. */
type Ask = { readonly users: readonly BrokerUser[] } | { readonly act: "kill9" | "restart" };

/** Takes a broker from the keeper, waiting until it is ready. `undefined`: nobody keeps any, outside of vitest. */
export async function takeBroker(users: readonly BrokerUser[]): Promise<TestBroker | undefined> {
  const port = process.env[PORT];
  if (port === undefined) return undefined;
  const socket = createConnection({ host: "127.0.0.1", port: Number(port) });
  await once(socket, "connect");
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
  const ask = async (question: Ask): Promise<unknown> => {
    socket.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await answers.next();
    if (done === true) throw new Error("the keeper of brokers went away");
    const answer = JSON.parse(value) as { readonly error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  };
  const taken = (await ask({ users })) as Taken;
  // An open connection must not keep a file's process alive.
  socket.unref();
  const act = async (what: "kill9" | "restart"): Promise<void> => {
    socket.ref();
    await ask({ act: what });
    socket.unref();
  };
  return {
    ...taken,
    kill9: () => act("kill9"),
    restart: () => act("restart"),
    stop: async () => {
      socket.destroy();
    },
  };
}

class Keeper {
  readonly #free: OwnBroker[] = [];
  readonly #all: OwnBroker[] = [];

  /** Serves one test file until its connection ends. */
  async serve(socket: Socket): Promise<void> {
    socket.on("error", () => {}); // the file's process was ended: the lines end too
    let broker: OwnBroker | undefined;
    let killed = false;
    for await (const line of createInterface({ input: socket })) {
      try {
        const ask = JSON.parse(line) as Ask;
        if ("users" in ask) {
          broker = await this.#take(ask.users);
          const { host, port, folder } = broker;
          socket.write(`${JSON.stringify({ host, port, folder } satisfies Taken)}\n`);
        } else {
          killed = ask.act === "kill9";
          await broker?.[ask.act]();
          socket.write("{}\n");
        }
      } catch (error) {
        socket.write(`${JSON.stringify({ error: String(error) })}\n`);
      }
    }
    if (broker === undefined) return;
    if (killed) await broker.restart();
    await clear(broker);
    this.#free.push(broker);
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((broker) => broker.kill9()));
  }

  async #take(users: readonly BrokerUser[]): Promise<OwnBroker> {
    const free = this.#free.pop();
    if (free === undefined) {
      const made = await startOwnBroker({ users, management: true });
      this.#all.push(made);
      return made;
    }
    await manage(free, "POST", "definitions", brokerDefinitions(users));
    return free;
  }
}

/** Takes all away that a file left: queues, exchanges, connections and users. */
async function clear(broker: OwnBroker): Promise<void> {
  await manage(broker, "DELETE", `vhosts/${encodeURIComponent("/")}`);
  for (const { name } of (await manage(broker, "GET", "users")) as readonly { readonly name: string }[])
    if (name !== broker.management?.user) await manage(broker, "DELETE", `users/${encodeURIComponent(name)}`);
}

/** Calls RabbitMQ's management interface. */
async function manage(broker: OwnBroker, method: string, path: string, body?: unknown): Promise<unknown> {
  const { port = 0, user = "", password = "" } = broker.management ?? {};
  const response = await fetch(`http://127.0.0.1:${port}/api/${path}`, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
      "content-type": "application/json",
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`broker: ${method} ${path}: HTTP ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** For vitest: keeps brokers while tests run. */
export async function setup(): Promise<() => Promise<void>> {
  const keeper = new Keeper();
  const sockets = new Set<Socket>();
  let ended = false;
  const server: Server = createServer((socket) => {
    sockets.add(socket.once("close", () => sockets.delete(socket)));
    // A broker that cannot be made as new is not handed on. At the end they are killed while the last is still made so.
    keeper.serve(socket).catch((error: unknown) => {
      if (!ended) console.error("keeper of brokers:", error);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  process.env[PORT] = typeof address === "object" ? String(address?.port) : "";
  return async () => {
    ended = true;
    for (const socket of sockets) socket.destroy();
    server.close();
    await keeper.end();
  };
}

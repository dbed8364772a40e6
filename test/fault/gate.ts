/**
 * Stands between the product and the emulated FABRIC: names and counts the calls, tells when one arrives and when it is answered, and answers some as a
 * server in trouble would. What it lets through is the emulator's own answer.
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { maintenanceText } from "../../infra/fabric/emulator/call.js";
import type { CallName, Fault } from "./schedule.js";

export type Phase = "arrives" | "taken" | "answered" | "read";

/** Told at each phase of each call. `drop`: the call goes no further. */
export type Watcher = (call: CallName, n: number, phase: Phase) => "drop" | undefined;

/** A call that asks for a change, as it came. */
export interface Asked {
  readonly call: CallName;
  /** The slice's id or, of a create, its name. */
  readonly of: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export class Gate {
  readonly #server: Server;
  readonly #upstream = new Agent({ keepAlive: false });
  #target: () => Promise<number> = () => Promise.reject(new Error("no emulator"));
  #counts = new Map<CallName, number>();
  #faults: readonly Fault[] = [];
  #watch: Watcher = () => undefined;
  /** All changes asked for since `open`. */
  asked: Asked[] = [];
  /** Faults that were met since `begin`. */
  met = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Gate> {
    const server = createServer();
    const gate = new Gate(server);
    server.on("request", (incoming, outgoing) => {
      gate.#pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
    await new Promise<void>((done, failed) => server.once("error", failed).listen(0, "127.0.0.1", done));
    return gate;
  }

  get host(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A new schedule. `target` gives the emulator's port, once it listens for the first time. */
  open(target: () => Promise<number>): void {
    this.#target = target;
    this.asked = [];
  }

  /** A new run: calls are counted from 1. */
  begin(faults: readonly Fault[] = [], watch: Watcher = () => undefined): void {
    this.#counts = new Map();
    this.#faults = faults;
    this.#watch = watch;
    this.met = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await bytesOf(incoming);
    const url = new URL(incoming.url ?? "/", "http://x");
    const call = nameOf(incoming.method ?? "", url.pathname);
    if (call === undefined) return answer(outgoing, await this.#forward(incoming, body));
    const n = (this.#counts.get(call) ?? 0) + 1;
    this.#counts.set(call, n);
    const watch = this.#watch;
    if (watch(call, n, "arrives") === "drop") return void outgoing.destroy();
    const fault = this.#faults.find((f) => f.call === call && n >= f.n && n < f.n + f.times);
    if (fault !== undefined) this.met += 1;
    const id =
      url.pathname.split("/").find((part) => /^[0-9a-f-]{36}$/.test(part)) ??
      url.searchParams.get("name") ??
      "";
    const before = fault === undefined ? undefined : refusals[fault.how]?.(id);
    if (before === "dropped") return void outgoing.destroy();
    if (before !== undefined) return answer(outgoing, before);
    if (!["list", "slice", "slivers"].includes(call)) this.asked.push({ call, of: id });
    const given = await this.#forward(incoming, body, () => watch(call, n, "taken"));
    if (watch(call, n, "answered") === "drop") return void outgoing.destroy();
    await spoil(outgoing, given, fault?.how);
    watch(call, n, "read");
  }

  /** The emulator's answer. Throws when it gives none. */
  async #forward(incoming: IncomingMessage, body: Buffer, sent?: () => void): Promise<Answer> {
    const port = await this.#target();
    return await new Promise<Answer>((settle, fail) => {
      const { host: _, connection: __, ...headers } = incoming.headers;
      const onward = request(
        {
          host: "127.0.0.1",
          port,
          path: incoming.url,
          method: incoming.method,
          headers,
          agent: this.#upstream,
        },
        (response) => {
          bytesOf(response).then((bytes) => {
            const kept = ["content-type", "x-error"].flatMap((name) => {
              const value = response.headers[name];
              return typeof value === "string" ? [[name, value] as const] : [];
            });
            settle({ status: response.statusCode ?? 500, headers: Object.fromEntries(kept), body: bytes });
          }, fail);
        },
      );
      onward.once("error", fail);
      onward.end(body, sent);
    });
  }
}

function nameOf(method: string, path: string): CallName | undefined {
  if (path.startsWith("/slices/creates")) return "create";
  if (path.endsWith("/accept")) return "accept";
  if (path.startsWith("/slices/modify")) return "modify";
  if (path.startsWith("/slices/renew")) return "renew";
  if (path.startsWith("/slices/delete")) return "delete";
  if (method !== "GET") return undefined;
  if (path === "/slices") return "list";
  if (path.startsWith("/slices/")) return "slice";
  return path.startsWith("/slivers") ? "slivers" : undefined;
}

function refusal(details: string): Answer {
  const error = {
    errors: [{ message: "Internal Server Error", details }],
    type: "error",
    size: 1,
    status: 500,
  };
  return {
    status: 500,
    headers: { "content-type": "application/json", "x-error": details },
    body: Buffer.from(JSON.stringify(error)),
  };
}

const proxyPage = (status: number, words: string): Answer => ({
  status,
  headers: { "content-type": "text/html" },
  body: Buffer.from(
    `<html><head><title>${status} ${words}</title></head><body><center><h1>${status} ${words}</h1></center><hr>nginx</body></html>`,
  ),
});

/** Answers given in place of the emulator's, which then never hears of the call. */
const refusals: Partial<Record<Fault["how"], (id: string) => Answer | "dropped">> = {
  unstable: (id) => refusal(`Unable to modify Slice# ${id} that is not yet stable, try again later`),
  maintenance: () => refusal(maintenanceText),
  stumbles: () => refusal("'NoneType' object has no attribute 'get_reservation_id'"),
  "bad-gateway": () => proxyPage(502, "Bad Gateway"),
  dropped: () => "dropped",
};

/** Gives the emulator's answer as a bad line or proxy would. */
async function spoil(outgoing: ServerResponse, given: Answer, how: Fault["how"] | undefined): Promise<void> {
  const half = given.body.subarray(0, Math.floor(given.body.length / 2));
  if (how === "unanswered") return void outgoing.destroy();
  if (how === "gateway-timeout") return answer(outgoing, proxyPage(504, "Gateway Time-out"));
  if (how === "truncated") return answer(outgoing, { ...given, body: half });
  if (how === "cut") {
    outgoing.writeHead(given.status, { ...given.headers, "content-length": given.body.length });
    await new Promise((done) => outgoing.write(half, done));
    return void outgoing.destroy();
  }
  if (how === "slow") await sleep(600);
  answer(outgoing, given);
}

function answer(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  outgoing.writeHead(status, { ...headers, "content-length": body.length });
  outgoing.end(body);
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

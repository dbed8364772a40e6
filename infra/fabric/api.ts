/** FABRIC's orchestrator over REST. The only file that knows its paths. Source: ControlFramework 30e67e2, openapi.json. */
import { setTimeout as sleep } from "node:timers/promises";
import { fetch } from "undici";
import { z } from "zod";
import { InfraError } from "../problem.js";
import {
  envelope,
  type FabricSliceState,
  type FabricSliver,
  sliceSchema,
  sliverSchema,
} from "./api-answers.js";
import { refusal, withoutTokens } from "./api-errors.js";
import { boundedText } from "./api-text.js";
import { JsonBeyondLimits, parseJson } from "./bounded-json.js";

export interface FabricApiOptions {
  /** `https://orchestrator.fabric-testbed.net`, or a host name alone. */
  readonly host: string;
  /** Gives a valid token; asked before each call. */
  readonly token: () => string | Promise<string>;
  /** Seconds that a call which only reads may take. Default 30. */
  readonly readSeconds?: number;
  /** Seconds that a call which changes something may take. Default 300: the server plans a large slice before it answers. */
  readonly writeSeconds?: number;
  /** Ends every call, and that calls are tried again, for who cannot wait. */
  readonly signal?: AbortSignal;
}

export interface NewSlice {
  readonly name: string;
  /** GraphML. */
  readonly graph: string;
  /** Public keys, at least one, at most ten. */
  readonly sshKeys: readonly string[];
  /** `2026-12-06 10:00:00 +0000` */
  readonly leaseEnd: string;
}

interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: { readonly type: string; readonly text: string };
}

/** Most bytes of an answer: a slice's graph may have 20 MB (graphml.ts), the JSON around it more. */
const answerLimit = 64 * 1024 * 1024;
/** The most that the server gives at once; its default is 5. */
const pageSize = 200;
/** Nobody has so many: a server that never comes to its last page. */
const mostSlices = 10_000;
/** Most items of one answer. A slice of 4,000 nodes has some 4,100 slivers. */
const mostItems = 50_000;
/** Tries of a call that only reads, when the server cannot be reached or its answer breaks off. */
const tries = 4;

/**
 * Calls of the orchestrator. Calls that only read are tried again when the network or a proxy fails or an answer breaks off; the others never are,
 * since nobody knows whether the first one worked: the caller looks instead. A 500 is not tried again either: it is the server's word for nearly
 * everything, and most of it stays so.
 *
 * All throw InfraError with the server's own words: FAB-AUTH, FAB-NOT-FOUND, FAB-NAME-TAKEN, FAB-POLICY, FAB-UNSTABLE, FAB-MAINTENANCE, FAB-REQUEST,
 * FAB-SERVER, FAB-UNREACHABLE, FAB-ANSWER (not what this library understands).
 */
export class FabricApi {
  readonly #base: string;
  readonly #options: FabricApiOptions;

  constructor(options: FabricApiOptions) {
    this.#options = options;
    this.#base = baseUrl(options.host);
  }

  /** @returns the slivers that were asked for; the slice is not up yet. */
  async createSlice(slice: NewSlice): Promise<readonly (FabricSliver & { readonly sliceId: string })[]> {
    const answer = await this.#call({
      method: "POST",
      path: "/slices/creates",
      query: { name: slice.name, lease_end_time: slice.leaseEnd },
      body: {
        type: "application/json",
        text: JSON.stringify({ graph_model: slice.graph, ssh_keys: slice.sshKeys }),
      },
    });
    const ids = z.object({ slice_id: z.string() });
    const sliceIds = this.#read("create", envelope(ids), answer);
    return this.#read("create", envelope(sliverSchema), answer).map((s, i) => ({
      ...s,
      sliceId: sliceIds[i]?.slice_id ?? "",
    }));
  }

  /**
   * One's own slices, all pages.
   *
   * @param filter `everyones`: those of all members of the token's project
   */
  async slices(
    filter: {
      readonly name?: string;
      readonly states?: readonly string[];
      readonly everyones?: boolean;
    } = {},
  ): Promise<readonly FabricSliceState[]> {
    const all: FabricSliceState[] = [];
    for (;;) {
      const page = this.#read(
        "slices",
        envelope(sliceSchema),
        await this.#call({
          method: "GET",
          path: "/slices",
          query: {
            ...(filter.name === undefined ? {} : { name: filter.name }),
            ...(filter.states === undefined ? {} : { states: filter.states }),
            as_self: String(filter.everyones !== true),
            limit: String(pageSize),
            offset: String(all.length),
          },
        }),
      );
      all.push(...page);
      if (page.length < pageSize) return all;
      if (all.length >= mostSlices) throw misunderstood("slices", `more than ${mostSlices} slices`);
    }
  }

  /** A slice with its graph, or without; `everyones`: also one of another member of the token's project. */
  async slice(
    id: string,
    format: "GRAPHML" | "NONE" = "GRAPHML",
    { everyones = false }: { readonly everyones?: boolean } = {},
  ): Promise<FabricSliceState> {
    const path = `/slices/${encodeURIComponent(id)}`;
    const query = { graph_format: format, ...(everyones ? { as_self: "false" } : {}) };
    return this.#one("slice", sliceSchema, await this.#call({ method: "GET", path, query }));
  }

  /** Sends the edited graph of a slice. The change is not done yet. */
  async modify(id: string, graph: string): Promise<void> {
    await this.#call({
      method: "PUT",
      path: `/slices/modify/${encodeURIComponent(id)}`,
      body: { type: "text/plain", text: graph },
    });
  }

  /** Accepts what a modify came to: what failed leaves the slice's graph. */
  async accept(id: string): Promise<FabricSliceState> {
    return this.#one(
      "accept",
      sliceSchema,
      await this.#call({ method: "POST", path: `/slices/modify/${encodeURIComponent(id)}/accept` }),
    );
  }

  /** @param leaseEnd `2026-12-06 10:00:00 +0000`; later than the current end */
  async renew(id: string, leaseEnd: string): Promise<void> {
    await this.#call({
      method: "POST",
      path: `/slices/renew/${encodeURIComponent(id)}`,
      query: { lease_end_time: leaseEnd },
    });
  }

  /** Asks for a slice's end. It is gone when its state is Dead. An empty id would delete all slices, so it is refused here. */
  async deleteSlice(id: string): Promise<void> {
    if (id === "") throw new RangeError("a slice's id is empty");
    await this.#call({ method: "DELETE", path: `/slices/delete/${encodeURIComponent(id)}` });
  }

  async slivers(sliceId: string): Promise<readonly FabricSliver[]> {
    return this.#read(
      "slivers",
      envelope(sliverSchema),
      await this.#call({ method: "GET", path: "/slivers", query: { slice_id: sliceId } }),
    );
  }

  /** What is free where, as the server gives it. */
  async resourcesSummary(types: readonly string[] = ["sites"]): Promise<readonly unknown[]> {
    const query = { type: types.join(","), level: "1" };
    return this.#read(
      "resources",
      envelope(z.unknown()),
      await this.#call({ method: "GET", path: "/resources/summary", query }),
    );
  }

  #one<T extends z.ZodType>(call: string, item: T, answer: unknown): z.output<T> {
    const list = this.#read(call, envelope(item), answer);
    if (list.length === 1) return list[0] as z.output<T>;
    throw misunderstood(call, `${list.length} items, one was expected`);
  }

  #read<T extends z.ZodType>(call: string, schema: T, answer: unknown): z.output<T> {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw misunderstood(call, `${issue?.path.join(".")}: ${issue?.message}`);
  }

  /** @returns the JSON of the answer */
  async #call(call: Call): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(call);
      } catch (error) {
        const passing =
          error instanceof BrokenAnswer || (error instanceof InfraError && error.code === "FAB-UNREACHABLE");
        const ended = this.#options.signal?.aborted === true;
        if (call.method !== "GET" || !passing || ended || attempt === tries) throw error;
        // Between 50 % and 100 % of 0.2, 0.4, 0.8 s, so that many readers do not come back at once.
        await sleep(200 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
      }
    }
  }

  async #once(call: Call): Promise<unknown> {
    const name = `${call.method} ${call.path}`;
    const url = new URL(this.#base + call.path);
    for (const [key, value] of Object.entries(call.query ?? {})) {
      for (const item of typeof value === "string" ? [value] : value) url.searchParams.append(key, item);
    }
    const token = await this.#options.token();
    const seconds =
      call.method === "GET" ? (this.#options.readSeconds ?? 30) : (this.#options.writeSeconds ?? 300);
    let status: number;
    let header: string | null;
    let type: string;
    let body: string;
    try {
      const response = await fetch(url, {
        method: call.method,
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          ...(call.body === undefined ? {} : { "content-type": call.body.type }),
        },
        body: call.body?.text ?? null,
        // A redirect would carry the token to another host.
        redirect: "error",
        signal: AbortSignal.any([
          AbortSignal.timeout(seconds * 1000),
          ...(this.#options.signal === undefined ? [] : [this.#options.signal]),
        ]),
      });
      status = response.status;
      header = response.headers.get("x-error");
      type = response.headers.get("content-type") ?? "";
      body = await boundedText(response.body, answerLimit);
    } catch (error) {
      if (error instanceof RangeError) throw misunderstood(name, error.message);
      throw unreachable(url.host, call, error, seconds);
    }
    if (status < 200 || status >= 300) throw refusal(name, status, body, header);
    return jsonOf(name, type, body);
  }
}

/** `https://` unless said, and no slash at the end. */
export function baseUrl(host: string): string {
  return (/^https?:\/\//.test(host) ? host : `https://${host}`).replace(/\/+$/, "");
}

/** An answer that is no JSON, or not all of it: another try may bring the whole. */
class BrokenAnswer extends InfraError {}

function jsonOf(call: string, type: string, body: string): unknown {
  try {
    const answer = parseJson(body);
    const items = itemsIn(answer);
    if (items > mostItems) throw new JsonBeyondLimits(`${items} items`);
    return answer;
  } catch (error) {
    if (error instanceof JsonBeyondLimits) throw misunderstood(call, error.message);
    // a log-in page, or a proxy's: it comes again
    if (/^text\/html/i.test(type)) throw misunderstood(call, "a web page, where JSON was expected", error);
    throw new BrokenAnswer(
      misunderstood(call, body === "" ? "empty" : "not JSON, or only a part of it").problems,
      {
        cause: error,
      },
    );
  }
}

/** How many items an answer has: each that is not as expected costs a message. */
function itemsIn(answer: unknown): number {
  const data =
    typeof answer === "object" && answer !== null ? (answer as { data?: unknown }).data : undefined;
  return Array.isArray(data) ? data.length : 0;
}

function unreachable(host: string, { method, path }: Call, error: unknown, seconds: number): InfraError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const timedOut = error instanceof Error && error.name === "TimeoutError";
  const why = timedOut
    ? `no answer within ${seconds} s`
    : cause instanceof Error
      ? cause.message || cause.name
      : String(cause);
  return new InfraError({
    code: "FAB-UNREACHABLE",
    message: `${host} does not answer (${method} ${path}): ${withoutTokens(why)}`,
    remedy:
      method === "GET"
        ? "nothing was changed by it; check the network and run the command again"
        : "whether it was done is not known; check the network and run the command again, which looks first",
  });
}

function misunderstood(call: string, what: string, cause?: unknown): InfraError {
  return new InfraError(
    {
      code: "FAB-ANSWER",
      message: `FABRIC's answer to ${call} is not understood: ${what}`,
      remedy: "a newer version of this package may know it",
    },
    cause === undefined ? {} : { cause },
  );
}

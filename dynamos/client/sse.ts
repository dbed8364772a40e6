import { createParser } from "eventsource-parser";
import { fetch } from "undici";
import { InfraError } from "../../infra/problem.js";

/** One server-sent event. */
export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

/** Follows a stream of server-sent events until it ends or `signal` aborts. Throws EXP-STREAM when it breaks. */
export async function* serverEvents(
  url: string,
  options: { readonly token?: string; readonly signal?: AbortSignal } = {},
): AsyncGenerator<ServerEvent> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`;
  const response = await fetch(url, {
    headers,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }).catch((cause) => {
    throw broken(url, String(cause instanceof Error ? (cause.cause ?? cause.message) : cause));
  });
  if (!response.ok || response.body === null)
    throw broken(url, `HTTP ${response.status} ${(await response.text()).slice(0, 300)}`);

  const ready: ServerEvent[] = [];
  const parser = createParser({
    onEvent: (e) => ready.push({ event: e.event ?? "message", data: JSON.parse(e.data) as unknown }),
  });
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
    yield* ready.splice(0);
  }
}

const broken = (url: string, why: string): InfraError =>
  new InfraError({
    code: "EXP-STREAM",
    message: `the event stream ${url} broke: ${why}`,
    remedy: "see dynamos-fabric status",
  });

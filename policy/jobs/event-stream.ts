import type { FastifyReply, FastifyRequest } from "fastify";
import type { JobLog, NumberedEvent } from "./job-log.js";

/** A comment line this often keeps proxies from closing a quiet stream. */
const KEEP_ALIVE_MS = 15_000;
/** A reader that does not read must not fill our memory. */
const MOST_BUFFERED = 8 * 1024 * 1024;

/**
 * Answers with a job's story as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html):
 * what has happened, then what happens, until `end`. `Last-Event-ID` goes on where a broken stream stopped.
 */
export function streamJob(
  request: FastifyRequest,
  reply: FastifyReply,
  log: JobLog,
  names: readonly string[],
): void {
  const last = Number(request.headers["last-event-id"] ?? 0);
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    connection: "keep-alive",
  });
  const timer = setInterval(() => raw.write(":\n\n"), KEEP_ALIVE_MS);
  // A past event may be the end, told before `follow` has returned.
  let unfollow: () => void = () => {};
  let ended = false;
  const end = (): void => {
    ended = true;
    clearInterval(timer);
    unfollow();
  };
  raw.on("close", end);
  raw.on("error", end); // a reader that went away: "close" follows, nobody is left to tell
  const tell = (event: NumberedEvent): void => {
    if (raw.destroyed) return;
    if (names.includes(event.name)) raw.write(render(event));
    if (event.name === "end") {
      end();
      raw.end();
    } else if (raw.writableLength > MOST_BUFFERED) raw.destroy();
  };
  unfollow = log.follow(Number.isFinite(last) ? last : 0, tell);
  if (ended) unfollow();
}

function render(event: NumberedEvent): string {
  return `id: ${event.id}\nevent: ${event.name}\ndata: ${event.json}\n\n`;
}

import type { IncomingMessage } from "node:http";

const MOST = 64 * 1024 * 1024;
const LONGEST_MS = 5_000;

/**
 * Reads what is left of a body that is refused, and drops it, up to 64 MiB and 5 s: a connection that is closed with bytes unread is reset, and a client that
 * still sends may never see its answer.
 */
export async function drained(body: IncomingMessage): Promise<void> {
  if (body.readableEnded || body.destroyed) return;
  await new Promise<void>((done) => {
    let left = MOST;
    const end = (): void => {
      clearTimeout(timer);
      body.off("data", take).off("end", end).off("close", end);
      done();
    };
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) end();
    };
    const timer = setTimeout(end, LONGEST_MS);
    body.on("data", take).once("end", end).once("close", end);
  });
}

import { get } from "node:http";
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ReadyCheck } from "./service.js";

/** How a wait for readiness went. */
export type Readiness = "ready" | "ended" | "deadline" | "aborted";

/**
 * Asks until the service is ready, its process has ended, the deadline has passed or the wait is no longer wanted.
 *
 * @param deadline by `performance.now()`, in milliseconds
 */
export async function waitUntilReady(
  check: ReadyCheck,
  ports: Readonly<Record<string, number>>,
  until: { readonly deadline: number; readonly signal: AbortSignal; readonly running: () => boolean },
): Promise<Readiness> {
  for (let pause = 20; ; pause = Math.min(pause * 1.3, 250)) {
    if (until.signal.aborted) return "aborted";
    if (!until.running()) return "ended";
    // Asked before the deadline is looked at: a service gets one question however short its time.
    if (await isReady(check, ports)) return until.running() ? "ready" : "ended";
    if (performance.now() >= until.deadline) return "deadline";
    await sleep(pause);
  }
}

/** Asks once, for at most a second. */
export function isReady(check: ReadyCheck, ports: Readonly<Record<string, number>>): Promise<boolean> {
  const port = ports["tcp" in check ? check.tcp : check.http];
  if (port === undefined) return Promise.resolve(false);
  return "tcp" in check ? accepts(port) : answers(port, check.path);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    const end = (ready: boolean) => {
      socket.destroy();
      done(ready);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

function answers(port: number, path: string): Promise<boolean> {
  return new Promise((done) => {
    const request = get({ host: "127.0.0.1", port, path, agent: false, timeout: 1000 }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.once("timeout", () => request.destroy(new Error("timeout")));
    request.once("error", () => done(false));
  });
}

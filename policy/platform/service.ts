import { setTimeout as sleep } from "node:timers/promises";
import type { Problem } from "../contract/problem.js";
import { ConfigError } from "./config.js";
import { createLogger, type Logger, problemOf } from "./log.js";

export interface ServiceContext {
  readonly log: Logger;
  /** Ends the service with exit code 1: for a fault that it cannot live with. */
  readonly fail: (error: unknown) => void;
}

const CLOSE_LIMIT_MS = 15_000;

/**
 * Runs a service as this process: starts it, closes it on SIGTERM or SIGINT (at most 15 s, exit code 0), and ends with exit code 1 and one coded
 * line in the log when it cannot start or fails unexpectedly.
 */
export function runService(
  name: string,
  start: (context: ServiceContext) => Promise<{ close(): Promise<void> }>,
): void {
  const log = createLogger(name);
  let ending = false;

  const end = async (code: number) => {
    if (ending) return;
    ending = true;
    const limit = sleep(CLOSE_LIMIT_MS, "late" as const);
    // A service that did not start has nothing to close, and has said so already.
    const closed = running.then((service) => service?.close());
    try {
      if ((await Promise.race([closed, limit])) === "late")
        log.error(`did not close within ${CLOSE_LIMIT_MS / 1000} s`);
    } catch (error) {
      log.error({ error }, "closing failed");
    }
    process.exit(code);
  };
  const fail = (error: unknown) => {
    log.fatal({ error }, "ended by an unexpected error");
    void end(1);
  };
  process.once("SIGTERM", () => void end(0));
  process.once("SIGINT", () => void end(0));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);

  // Also where `start` throws before it gives a promise.
  const running = Promise.resolve({ log, fail })
    .then(start)
    .then(
      (service) => {
        log.info("started");
        return service;
      },
      (error: unknown) => {
        const problem = startProblem(error);
        log.fatal(
          {
            ...problem,
            ...(error instanceof ConfigError ? { problems: error.problems } : {}),
            message: undefined,
          },
          `cannot start: ${problem.message}`,
        );
        process.exitCode = 1;
        if (!ending) process.exit(1);
        return undefined;
      },
    );
}

/** A port in use is a person's to mend, not a bug: it gets a code. */
function startProblem(error: unknown): Problem {
  const { code, address, port } = error as { code?: unknown; address?: unknown; port?: unknown };
  if (code !== "EADDRINUSE" && code !== "EACCES") return problemOf(error);
  const place = `${String(address)}:${String(port)}`;
  return {
    code: "CFG-PORT",
    path: "HTTP_PORT",
    message:
      code === "EADDRINUSE" ? `${place} is in use by another process` : `no permission to listen on ${place}`,
    remedy: "choose another HTTP_PORT, or stop what listens there",
  };
}

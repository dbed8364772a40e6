import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";
import { CodedError, type Problem } from "../contract/problem.js";

/** A service's log: one JSON object a line on standard output. */
export type Logger = PinoLogger;

/** Names of fields whose value must never be seen in a log, at the top and one and two levels down. */
const SECRET_FIELDS = [
  "password",
  "token",
  "grant",
  "secret",
  "authorization",
  "Authorization",
  "accessToken",
  "access_token",
  "refreshToken",
  "refresh_token",
  "cookie",
  "privateKey",
] as const;

/**
 * Makes a service's logger.
 *
 * @param service - the service's name, on each line as `service`
 * @param level - least level written; default: the environment's `LOG_LEVEL`, else `info`
 * @param destination - default: standard output
 */
export function createLogger(
  service: string,
  level = process.env.LOG_LEVEL ?? "info",
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    base: { service },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap((f) => [f, `*.${f}`, `*.*.${f}`]), censor: "[redacted]" },
    serializers: { err: problemOf, error: problemOf },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/**
 * An error as a log line or an answer shows it: a coded error as its problem, anything else as its message with code `UNEXPECTED`.
 * The stack is kept for unexpected errors only: those are our own faults, and the log is the one place to see them.
 */
export function problemOf(error: unknown): Problem & { readonly stack?: string } {
  if (error instanceof CodedError) return error.toProblem();
  if (error instanceof Error) {
    return {
      code: "UNEXPECTED",
      message: error.message,
      ...(error.stack === undefined ? {} : { stack: error.stack }),
    };
  }
  return { code: "UNEXPECTED", message: String(error) };
}

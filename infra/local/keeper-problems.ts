/** What a keeper has to tell about its service, in words. */
import { InfraError, type Problem } from "../problem.js";
import { lastLines } from "./launch.js";
import type { ServiceRecord } from "./state-folder.js";

/** A service's start that failed: its process ended, or was not ready in time. */
export function startFailed(
  record: ServiceRecord,
  log: string,
  readiness: "ended" | "deadline",
  seconds: number,
): InfraError {
  const { name } = record.spec;
  const what = readiness === "ended" ? "ended before it was ready" : `was not ready after ${seconds} s`;
  return new InfraError({
    code: "LOC-START-FAILED",
    path: name,
    message: `${name} ${what}`,
    remedy: lastWords(record, log),
  });
}

/** A service that ended by itself after it had been ready. */
export function crashed(
  record: ServiceRecord,
  log: string,
): { code: string; message: string; remedy: string } {
  return {
    code: "LOC-CRASHED",
    message: `${record.spec.name} ended by itself and is started again`,
    remedy: lastWords(record, log),
  };
}

/** A needed service that is not there (LOC-NEED-UNKNOWN) or not ready (LOC-NEED-NOT-READY). */
export function needMissing(name: string, need: string, record: ServiceRecord | undefined): InfraError {
  return new InfraError({
    code: record === undefined ? "LOC-NEED-UNKNOWN" : "LOC-NEED-NOT-READY",
    path: `${name}.needs`,
    message: `${name} needs ${need}, which is ${record === undefined ? "not registered" : record.state}`,
    remedy: `start ${need} first`,
  });
}

/** A start that somebody broke off. */
export function brokenOff(name: string): InfraError {
  return new InfraError({
    code: "LOC-STOPPED",
    path: name,
    message: `${name} was stopped or changed while it started`,
    remedy: "start it again",
  });
}

/** An error as it is kept in a record. */
export function recorded(error: unknown): NonNullable<ServiceRecord["problem"]> {
  const problem: Problem | undefined = error instanceof InfraError ? error.problems[0] : undefined;
  if (problem === undefined) {
    const message = error instanceof Error ? error.message : String(error);
    return { code: "LOC-INTERNAL", message, remedy: "see supervisor.log" };
  }
  const { code, message, remedy } = problem;
  return { code, message, ...(remedy === undefined ? {} : { remedy }) };
}

/** Where to look, and what this run wrote there last. */
function lastWords(record: ServiceRecord, log: string): string {
  const lines = record.run === undefined ? [] : lastLines(log, record.run.logOffset);
  if (lines.length === 0) return `it wrote nothing to its log, ${log}`;
  return `look at ${log}, whose last lines are:${lines.map((line) => `\n    ${line}`).join("")}`;
}

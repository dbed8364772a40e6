import { appendFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InfraError, type Problem, problemLine } from "../../infra/problem.js";
import { CodedError } from "../../policy/contract/problem.js";
import { problemTable } from "../problem-table.js";

/**
 * What a person reads of an error. One problem is one line, several are a table. Only an error that nobody foresaw has a stack
 * trace, and that goes to a file.
 */
export function errorText(error: unknown, logFolder: string): string {
  const problems = problemsOf(error);
  if (problems === undefined) return unforeseen(error, logFolder);
  const [first] = problems;
  if (first !== undefined && problems.length === 1) return `error: ${problemLine(first)}`;
  return `error: ${problemTable(problems)}`;
}

function problemsOf(error: unknown): readonly Problem[] | undefined {
  if (error instanceof InfraError) return error.problems;
  if (error instanceof CodedError) return [error.toProblem()];
  return undefined;
}

function unforeseen(error: unknown, logFolder: string): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const message = error instanceof Error ? error.message : String(error);
  let file = join(logFolder, "command.log");
  const entry = `${new Date().toISOString()} ${process.argv.slice(2).join(" ")}\n${text}\n`;
  try {
    mkdirSync(logFolder, { recursive: true, mode: 0o700 });
    appendFileSync(file, entry, { mode: 0o600 });
  } catch {
    // No place in the project: the message must not be lost with it.
    file = join(tmpdir(), `dynamos-fabric-${process.pid}.log`);
    appendFileSync(file, entry, { mode: 0o600 });
  }
  return `error: TOOL-UNFORESEEN  ${message.split("\n")[0]}; this is a fault of ours, details are in ${file}`;
}

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { STORE_READER } from "../store-rights.js";
import { judgeHistory, readHistory } from "./history.js";
import type { ExperimentResult } from "./result.js";
import type { StoreAccess } from "./stack-access.js";

/**
 * The checker: a program apart from the experiment. It takes of the experiment's result only which job was changed at which revision, and reads the
 * rest from etcd's own history.
 *
 * @returns a line for each broken promise; empty when no round was opened after a change
 */
export async function checkResult(
  store: StoreAccess,
  result: ExperimentResult,
  from: number,
): Promise<string[]> {
  const changed = result.runs.flatMap((run) =>
    run.changes.flatMap(({ revision: at, duringRound = 0, next }) => {
      const job = run.jobs.findLast(({ firstRound }) => firstRound <= Math.max(1, duringRound));
      return at === undefined || next !== "refused" || job === undefined
        ? []
        : [{ run: run.run, at, jobId: job.jobId, rounds: duringRound - job.firstRound + 1 }];
    }),
  );
  if (changed.length === 0) return [];
  const history = await readHistory(
    store.endpoint,
    { user: STORE_READER, password: readFileSync(store.passwordFile, "utf8") },
    Math.min(from, ...changed.map((run) => run.at)),
  );
  return changed.flatMap(({ run, at, jobId, rounds }) => {
    const verdict = judgeHistory(history, jobId, at);
    const miscounted =
      verdict.roundsBefore === rounds
        ? []
        : [
            `run ${run}: etcd has ${verdict.roundsBefore} rounds before the change, the services reported ${rounds}`,
          ];
    return [
      ...miscounted,
      ...verdict.violations.map(
        (v) =>
          `run ${run}: ${v.key} was opened at revision ${v.openedAt}, after the change at ${v.changedAt}`,
      ),
    ];
  });
}

/** Runs the checker as a process of its own over a `result.json`. */
export async function runChecker(store: StoreAccess, resultFile: string, from: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [__filename, store.endpoint, store.passwordFile, resultFile, String(from)],
    { maxBuffer: 1 << 24 },
  );
  return JSON.parse(stdout) as string[];
}

if (require.main === module) {
  const [endpoint = "", passwordFile = "", file = "", from = "1"] = process.argv.slice(2);
  checkResult(
    { endpoint, passwordFile },
    JSON.parse(readFileSync(file, "utf8")) as ExperimentResult,
    Number(from),
  ).then(
    (lines) => console.log(JSON.stringify(lines)),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    },
  );
}

import type { EndStatus, RoundDurations, RoundReport } from "../../policy/contract/job.js";

/** One round as `result.json` tells it. */
export interface RoundResult {
  readonly round: number;
  readonly status: EndStatus;
  /** The result step's `accuracy`, where it reports one. */
  readonly accuracy?: number;
  /** Why a round was refused or failed: `CODE message (revision N)`. */
  readonly reason?: string;
  /** Milliseconds of the services' monotonic clocks. */
  readonly durations?: RoundDurations;
}

/** One run. */
export interface RunResult {
  readonly run: number;
  readonly seed: number;
  readonly jobId: string;
  /** The round the change was drawn for; absent where none was planned. */
  readonly changePlannedIn?: number;
  /** The round that was open when the change was committed; absent without a change. */
  readonly changeDuringRound?: number;
  /** etcd's revision of the change. */
  readonly changeRevision?: number;
  /** Whether that round was still under way when the change was acknowledged. */
  readonly changeInside?: boolean;
  /** What the rounds after the change had to be; absent: refused. */
  readonly changeThen?: "refused" | "goesOn";
  /** Of a party that joined: how a request of one round ended that asked it as well. */
  readonly joinedRequest?: EndStatus;
  /** How often the run was done until the change fell inside a round; absent: once. */
  readonly attempts?: number;
  readonly rounds: readonly RoundResult[];
}

/** What `result.json` holds. */
export interface ExperimentResult {
  readonly runs: readonly RunResult[];
}

/** What became of one run, judged from its rounds alone. */
export interface Verdict {
  readonly held: boolean;
  readonly roundsAfterChange: number;
  readonly text: string;
}

/** A round's report as a line of the result. */
export function roundResult(report: RoundReport): RoundResult {
  const accuracy = numberField(report.data, "accuracy");
  const reason = reasonLine(report);
  return {
    round: report.round,
    status: report.status,
    ...(accuracy === undefined ? {} : { accuracy }),
    ...(reason === undefined ? {} : { reason }),
    durations: report.durations,
  };
}

/** `POL-NO-AGREEMENT clientthree has no agreement for ada@uva.nl (revision 214)` */
export function reasonLine(
  report: Pick<RoundReport, "reasons" | "revision" | "problem">,
): string | undefined {
  const first = report.reasons?.[0];
  if (first !== undefined) {
    return report.revision === undefined
      ? `${first.code} ${first.message}`
      : `${first.code} ${first.message} (revision ${report.revision})`;
  }
  return report.problem === undefined ? undefined : `${report.problem.code} ${report.problem.message}`;
}

/**
 * Whether the policy held: with a change during round k, every round up to k completed, k+1 was refused and nothing came after;
 * without a planned change, or with one after which the job goes on, every round completed (and a party that joined is part of the next request). A change that was planned and not made, or not made inside a round, proves nothing.
 */
export function judge(run: RunResult): Verdict {
  const last = run.rounds.at(-1);
  const broken = run.rounds.find((r) => r.status === "failed");
  if (broken !== undefined) {
    return {
      held: false,
      roundsAfterChange: 0,
      text: `round ${broken.round} failed: ${broken.reason ?? "no reason given"}`,
    };
  }
  const k = run.changeDuringRound;
  if (k === undefined && run.changePlannedIn !== undefined) {
    return {
      held: false,
      roundsAfterChange: 0,
      text: `the change planned for round ${run.changePlannedIn} was not made`,
    };
  }
  if (k !== undefined && run.changeInside === false) {
    return {
      held: false,
      roundsAfterChange: 0,
      text: `the change came when round ${k} had just ended, not inside it: try another seed`,
    };
  }
  if (k === undefined) {
    const refused = run.rounds.find((r) => r.status === "refused");
    return refused === undefined
      ? { held: run.rounds.length > 0, roundsAfterChange: 0, text: "completed" }
      : {
          held: false,
          roundsAfterChange: 0,
          text: `round ${refused.round} refused though nothing changed: ${refused.reason ?? ""}`,
        };
  }
  if (run.changeThen === "goesOn") {
    const refused = run.rounds.find((r) => r.status === "refused");
    const apart = run.joinedRequest !== undefined && run.joinedRequest !== "completed";
    const text =
      refused !== undefined
        ? `round ${refused.round} was refused though the change allows it: ${refused.reason ?? ""}`
        : apart
          ? `the request that asked the party that joined was ${run.joinedRequest}`
          : "went on";
    return { held: refused === undefined && !apart, roundsAfterChange: 0, text };
  }
  const after = run.rounds.filter((r) => r.round > k && r.status === "completed").length;
  const held = after === 0 && last?.round === k + 1 && last.status === "refused";
  return { held, roundsAfterChange: after, text: held ? "refused" : `round ${k + 1} was not refused` };
}

/** `rounds.csv`: a line a round, for spreadsheets. Step columns are those of the first round. */
export function roundsCsv(result: ExperimentResult): string {
  const sample = result.runs
    .flatMap((r) => r.rounds)
    .find((r) => Object.keys(r.durations?.steps ?? {}).length > 0);
  const steps = Object.keys(sample?.durations?.steps ?? {});
  const head = ["run", "seed", "round", "status", "accuracy", "validate_ms", "open_ms"];
  head.push(...steps.flatMap((s) => [`${s}_ms`, `${s}_compute_ms`]), "report_ms", "total_ms", "reason");
  const lines = result.runs.flatMap((run) =>
    run.rounds.map((r) => {
      const d = r.durations;
      const perStep = steps.flatMap((s) => [d?.steps[s]?.total, d?.steps[s]?.compute]);
      const cells = [
        run.run,
        run.seed,
        r.round,
        r.status,
        r.accuracy,
        d?.validate,
        d?.open,
        ...perStep,
        d?.report,
        d?.total,
        r.reason,
      ];
      return cells.map(csvCell).join(",");
    }),
  );
  return `${[head.join(","), ...lines].join("\n")}\n`;
}

function csvCell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(Number(value.toFixed(6)));
  return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function numberField(data: unknown, field: string): number | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const value: unknown = (data as Record<string, unknown>)[field];
  return typeof value === "number" ? value : undefined;
}

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

/** One change of a run. */
export interface ChangeResult {
  readonly party: string;
  readonly do: "leave" | "join" | "replace";
  /** The round it was drawn for. */
  readonly plannedIn: number;
  /** The round that was open when it was committed; absent, as all that follows, when it was not made. */
  readonly duringRound?: number;
  /** etcd's revision of the change. */
  readonly revision?: number;
  /** Whether that round was still under way when the change was acknowledged. */
  readonly inside?: boolean;
  /** What the job's next round had to be. */
  readonly next?: "refused" | "goesOn";
}

/** One request of a run. */
export interface JobOfRun {
  readonly jobId: string;
  /** The run's round that is its first. */
  readonly firstRound: number;
  readonly dataProviders: readonly string[];
}

/** One run. */
export interface RunResult {
  readonly run: number;
  readonly seed: number;
  /** In order: where a job was refused with changes to come, the next request asks those who are in then. None where the first was refused. */
  readonly jobs: readonly JobOfRun[];
  /** As planned; empty where none was. */
  readonly changes: readonly ChangeResult[];
  /** Where a party joined that the last job does not ask: how a request of one round ended that asked it as well. */
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
 * Whether the policy held: with a change during round k that takes a right away from the running job, every round up to k completed, k+1 was refused, and none of that job came after;
 * all other rounds completed (and a party that joined is part of the next request). A change that was planned and not made, or not made inside a round, proves nothing.
 */
export function judge(run: RunResult): Verdict {
  const not = (text: string, roundsAfterChange = 0): Verdict => ({ held: false, roundsAfterChange, text });
  const { rounds, changes } = run;
  const broken = rounds.find((r) => r.status === "failed");
  if (broken !== undefined) return not(`round ${broken.round} failed: ${broken.reason ?? "no reason given"}`);
  const unmade = changes.find((c) => c.duringRound === undefined);
  if (unmade !== undefined) return not(`the change planned for round ${unmade.plannedIn} was not made`);
  const between = changes.find((c) => c.inside === false);
  if (between !== undefined)
    return not(
      `the change came when round ${between.duringRound} had just ended, not inside it: try another seed`,
    );
  const ends = changes.flatMap((c) => (c.next === "refused" ? [c.duringRound ?? 0] : []));
  const after = ends.flatMap((k) => {
    const next = run.jobs.find(({ firstRound }) => firstRound > k + 1)?.firstRound ?? Infinity;
    return rounds.filter((r) => r.round > k && r.round < next && r.status === "completed");
  }).length;
  for (const k of ends)
    if (after > 0 || rounds.find((r) => r.round === k + 1)?.status !== "refused")
      return not(`round ${k + 1} was not refused`, after);
  const refused = rounds.find((r) => r.status === "refused" && !ends.includes(r.round - 1));
  if (refused !== undefined)
    return not(
      `round ${refused.round} was refused though ${changes.length === 0 ? "nothing changed" : "the changes allow it"}: ${refused.reason ?? ""}`,
    );
  if (run.joinedRequest !== undefined && run.joinedRequest !== "completed")
    return not(`the request that asked the party that joined was ${run.joinedRequest}`);
  const text = ends.length > 0 ? "refused" : changes.length > 0 ? "went on" : "completed";
  return { held: rounds.length > 0, roundsAfterChange: 0, text };
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

import type { RoundRecord } from "../contract/documents.js";
import type { Any } from "../contract/generated/google/protobuf/any.js";
import type {
  RefusalReason,
  RoundDurations,
  RoundOpened,
  RoundReport,
  StepDuration,
} from "../contract/job.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { ValidationResponse } from "../contract/wire.js";
import type { Store } from "../platform/store.js";
import { Stopwatch } from "./clock.js";
import type { Composition } from "./compose.js";
import type { EnforcerClient } from "./enforcer-client.js";
import { type Answers, inputsOf, resultOf, type StepAnswer } from "./inputs.js";
import type { StepCaller } from "./step-caller.js";
import { agentsOf, type PlannedStep, type WorkflowPlan } from "./workflow.js";

/** What stays the same in all rounds of a job. */
export interface RoundWork {
  readonly job: string;
  readonly requestType: string;
  readonly user: { readonly id: string; readonly userName: string };
  readonly composition: Composition;
  readonly plan: WorkflowPlan;
  /** The data request, packed once. */
  readonly request: Any;
}

export interface RoundTools {
  readonly enforcer: EnforcerClient;
  readonly store: Store;
  readonly steps: StepCaller;
  /** Milliseconds for one step at one agent. */
  readonly stepDeadline: number;
}

/** A running job waits this long for a broker that restarts. */
const PATIENCE_MS = 30_000;
const MOST_OPENINGS = 3;

interface Opened {
  readonly kind: "opened";
  readonly grant: string;
  readonly opened: RoundOpened;
}
interface Refused {
  readonly kind: "refused";
  readonly reasons: readonly RefusalReason[];
  readonly revision: number;
}

/**
 * Does one round: asks the enforcer, opens the round in the store, runs the steps level by level. Never rejects: every ending is a report.
 *
 * @param onOpen - called as soon as the round is open, before any agent works
 */
export async function runRound(
  work: RoundWork,
  round: number,
  tools: RoundTools,
  signal: AbortSignal,
  onOpen: (opened: RoundOpened) => void,
): Promise<RoundReport> {
  const watch = new Stopwatch();
  const spans = { validate: 0, open: 0, steps: {} as Record<string, StepDuration> };
  const done = (rest: Omit<RoundReport, "round" | "durations">): RoundReport => {
    const report = watch.lap();
    const durations: RoundDurations = { ...spans, report, total: watch.total };
    return { round, durations, ...rest };
  };
  let revision: number | undefined;
  try {
    const admitted = await admit(work, round, tools, signal, watch, spans);
    revision = admitted.kind === "opened" ? admitted.opened.revision : admitted.revision;
    if (admitted.kind === "refused") return done({ status: "refused", reasons: admitted.reasons, revision });
    onOpen(admitted.opened);
    const answers = await runSteps(work, admitted, tools, signal, watch, spans.steps);
    const data = resultOf(work.plan.result, answers, work.composition);
    return done({ status: "completed", revision, ...(data === undefined ? {} : { data }) });
  } catch (error) {
    watch.lap(); // the broken step's time counts in the total, not in the report's span
    return done({
      status: "failed",
      problem: problemFor(error),
      ...(revision === undefined ? {} : { revision }),
    });
  }
}

/** Asks and opens, until the agreements stand still between the two. */
async function admit(
  work: RoundWork,
  round: number,
  { enforcer, store }: RoundTools,
  signal: AbortSignal,
  watch: Stopwatch,
  spans: { validate: number; open: number },
): Promise<Opened | Refused> {
  let leastRevision = 0;
  for (let attempt = 1; attempt <= MOST_OPENINGS; attempt += 1) {
    const decision = await enforcer.ask(
      { ...questionOf(work, round), leastRevision },
      { patience: PATIENCE_MS },
    );
    spans.validate += watch.lap();
    if (!isApproved(decision))
      return { kind: "refused", reasons: reasonsOf(decision), revision: decision.revision };
    // A job that is being ended opens nothing any more.
    signal.throwIfAborted();
    const agreements = comparedAgreements(work, decision);
    const record: RoundRecord = { job: work.job, round, agreements, openedAt: new Date().toISOString() };
    const result = await store.open(
      Object.entries(agreements).map(([party, revision]) => ({ key: KEY.agreement(party), revision })),
      { key: KEY.round(work.job, round), value: record },
    );
    spans.open += watch.lap();
    if ("conflict" in result) {
      leastRevision = result.revision;
      continue;
    }
    const { revision } = decision;
    const opened: RoundOpened = {
      round,
      revision,
      token: result.revision,
      agreements,
      openedAt: record.openedAt,
    };
    return { kind: "opened", grant: decision.auth?.accessToken ?? "", opened };
  }
  throw new CodedError({
    code: "ORC-ROUND-CONFLICT",
    path: `rounds/${round}`,
    message: `the agreements changed ${MOST_OPENINGS} times between the decision and the opening of round ${round}, or it was opened before`,
    remedy: "send the request again when the agreements stand still",
  });
}

/** What of this the enforcer is asked is what was composed at the approval, never more. */
function questionOf({ job, requestType, user, composition }: RoundWork, round: number) {
  const computeProvider = composition.local ? "" : (composition.computeProviders[0] ?? "");
  return {
    requestType,
    user,
    dataProviders: composition.dataProviders,
    round: { job, round, archetype: composition.archetype, computeProvider },
  };
}

/** An approval that leaves one of the data providers out is none: all were asked for. */
export function isApproved(decision: ValidationResponse): boolean {
  return decision.requestApproved && decision.invalidDataproviders.length === 0;
}

/** A refusal always has a reason, if need be the enforcer's list of providers it did not accept. */
export function reasonsOf(decision: ValidationResponse): readonly RefusalReason[] {
  if (decision.reasons.length > 0) return decision.reasons;
  const parties = decision.invalidDataproviders.length > 0 ? decision.invalidDataproviders : [""];
  return parties.map((party) => ({
    code: "POL-REFUSED",
    party,
    path: "",
    message:
      party === ""
        ? "the policy enforcer refused and gave no reason"
        : `the policy enforcer does not accept ${party} and gave no reason`,
  }));
}

/** Fails closed: a data provider whose agreement would not be compared could change it unseen. */
function comparedAgreements(
  { composition }: RoundWork,
  decision: ValidationResponse,
): Readonly<Record<string, number>> {
  const agreements = decision.agreementRevisions;
  const missing = composition.dataProviders.filter(
    (p) => !Object.hasOwn(agreements, p) || (agreements[p] ?? 0) <= 0,
  );
  if (missing.length === 0) return agreements;
  throw new CodedError({
    code: "ORC-DECISION-INCOMPLETE",
    path: "agreement_revisions",
    message: `the enforcer approved, but names no agreement revision of ${missing.join(", ")}`,
    remedy: "run the policy enforcer of this version",
  });
}

async function runSteps(
  work: RoundWork,
  { grant, opened }: Opened,
  { steps, stepDeadline }: RoundTools,
  signal: AbortSignal,
  watch: Stopwatch,
  spans: Record<string, StepDuration>,
): Promise<Answers> {
  const answers = new Map<string, ReadonlyMap<string, StepAnswer>>();
  // The first failure ends all calls of the round: nobody waits for what nobody needs.
  const stop = new AbortController();
  const passOn = (): void => stop.abort(signal.reason);
  signal.addEventListener("abort", passOn);
  if (signal.aborted) passOn();
  const runStep = async (step: PlannedStep): Promise<void> => {
    const own = new Stopwatch();
    const agents = agentsOf(step, work.composition);
    // All inputs first: one that is missing must not leave half of the calls under way.
    const calls = agents.map((agent) => ({
      agent,
      job: work.job,
      round: opened.round,
      step: step.name,
      service: step.service,
      requestType: work.requestType,
      grant,
      token: opened.token,
      request: work.request,
      inputs: inputsOf(step, agent, answers, work.composition),
    }));
    const given = await Promise.all(calls.map((call) => steps.call(call, stepDeadline, stop.signal)));
    spans[step.name] = durationOf(own.lap(), given);
    answers.set(step.name, new Map(given.map((answer, i) => [agents[i] ?? "", answer])));
  };
  try {
    for (const level of work.plan.levels) await Promise.all(level.map(runStep));
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", passOn);
  }
  watch.lap();
  return answers;
}

/** What agents say of their own time is believed as far as the step took that long. */
function durationOf(total: number, answers: readonly StepAnswer[]): StepDuration {
  const start = Math.min(total, Math.max(0, ...answers.map((a) => a.startMs)));
  const compute = Math.min(total - start, Math.max(0, ...answers.map((a) => a.computeMs)));
  return { total, start, compute, transfer: total - start - compute };
}

/** What an error tells a user; a fault of ours keeps its message only. */
export function problemFor(error: unknown): Problem {
  if (error instanceof CodedError) return error.toProblem();
  return {
    code: "ORC-UNEXPECTED",
    message: error instanceof Error ? error.message : String(error),
    remedy: "look at the orchestrator's log",
  };
}

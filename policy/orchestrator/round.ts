import { setMaxListeners } from "node:events";
import type { Any } from "../contract/generated/google/protobuf/any.js";
import type { RefusalReason, RoundDurations, RoundOpened, RoundReport } from "../contract/job.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { ValidationResponse } from "../contract/wire.js";
import type { Composition } from "../rounds/composition.js";
import type { AgentReport, Ticket } from "../rounds/messages.js";
import { agentsOf, type PlannedStep, type WorkflowPlan } from "../rounds/plan.js";
import type { AgentCaller } from "./agent-caller.js";
import { Stopwatch } from "./clock.js";
import { checkDecided, type EnforcerClient } from "./enforcer-client.js";
import { Stopped } from "./revocation.js";
import { stepDurations } from "./spans.js";

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
  readonly agents: AgentCaller;
  /** Milliseconds for one step at one agent. */
  readonly stepDeadline: number;
}

/** A running job waits this long for a broker that restarts. */
const PATIENCE_MS = 30_000;

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
 * Does one round: asks the enforcer, which opens the round, and gives each agent its ticket. Never rejects: every ending is a report.
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
  const spans = { validate: 0, open: 0, steps: {} as RoundDurations["steps"] };
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
    const reports = await runAgents(work, admitted, tools, signal);
    const told = [...reports.values()].map((report) => report.spans);
    spans.steps = stepDurations(work.plan, told, watch.lap());
    const data = resultOf(work.plan.result, reports, work.composition);
    return done({ status: "completed", revision, ...(data === undefined ? {} : { data }) });
  } catch (error) {
    if (error instanceof Stopped)
      return done({ status: "refused", reasons: error.reasons, revision: error.revision });
    watch.lap(); // the broken step's time counts in the total, not in the report's span
    return done({
      status: "failed",
      problem: problemFor(error),
      ...(revision === undefined ? {} : { revision }),
    });
  }
}

/** Asks the enforcer, which opens the round it allows. */
async function admit(
  work: RoundWork,
  round: number,
  { enforcer }: RoundTools,
  signal: AbortSignal,
  watch: Stopwatch,
  spans: { validate: number; open: number },
): Promise<Opened | Refused> {
  const decision = await enforcer.ask(questionOf(work, round), { patience: PATIENCE_MS, signal });
  const asked = watch.lap();
  spans.open = Math.min(asked, Math.max(0, decision.openMs));
  spans.validate = asked - spans.open;
  checkDecided(decision);
  if (!isApproved(decision))
    return { kind: "refused", reasons: reasonsOf(decision), revision: decision.revision };
  const { revision, token } = decision;
  const agreements = comparedAgreements(work, decision);
  const opened: RoundOpened = { round, revision, token, agreements, openedAt: new Date().toISOString() };
  return { kind: "opened", grant: decision.auth?.accessToken ?? "", opened };
}

/** What of this the enforcer is asked is what was composed at the approval, never more. */
export function questionOf({ job, requestType, user, composition }: RoundWork, round: number) {
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
  if (missing.length === 0 && decision.token > 0) return agreements;
  throw new CodedError({
    code: "ORC-DECISION-INCOMPLETE",
    path: "agreement_revisions",
    message: `the enforcer approved, but names no ${missing.length === 0 ? "token of the round" : `agreement revision of ${missing.join(", ")}`}`,
    remedy: "run the policy enforcer of this version",
  });
}

/** Gives each agent its ticket and waits for all reports. The first failure ends the waiting: nobody waits for what nobody needs. */
async function runAgents(
  work: RoundWork,
  { grant, opened }: Opened,
  { agents, stepDeadline }: RoundTools,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, AgentReport>> {
  const { composition, plan, job, requestType, request } = work;
  const steps = plan.levels.flat();
  const tickets = [...composition.roles.keys()].flatMap((agent): Ticket[] => {
    const own = steps.filter((step) => agentsOf(step, composition).includes(agent));
    if (own.length === 0) return [];
    const asked = own.map(({ name, service }) => ({ step: name, service }));
    return [
      { agent, job, round: opened.round, requestType, steps: asked, grant, token: opened.token, request },
    ];
  });
  // Beyond what an agent allows itself, one step after its inputs' time, so that its own words are heard.
  const deadline = stepDeadline * (plan.levels.length + 1);
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // one for each agent
  const passOn = (): void => stop.abort(signal.reason);
  signal.addEventListener("abort", passOn);
  if (signal.aborted) passOn();
  try {
    const reports = await Promise.all(
      tickets.map(
        async (ticket) => [ticket.agent, await agents.call(ticket, deadline, stop.signal)] as const,
      ),
    );
    return new Map(reports);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", passOn);
  }
}

/** A round's result: the compute provider's JSON, or by agent where the data providers did the step. */
export function resultOf(
  step: PlannedStep,
  reports: ReadonlyMap<string, AgentReport>,
  composition: Composition,
): unknown {
  const given = agentsOf(step, composition).map((agent) => [agent, reports.get(agent)?.result] as const);
  if (step.role === "computeProvider" && !composition.local) return given[0]?.[1];
  return Object.fromEntries(given.map(([agent, data]) => [agent, data ?? null]));
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

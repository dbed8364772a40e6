import type { EndStatus } from "../../policy/contract/job.js";
import { GatewayClient } from "../client/gateway-client.js";
import { Changer } from "./changer-process.js";
import type { ChangeMoment } from "./draw.js";
import { type RoundResult, type RunResult, roundResult } from "./result.js";
import type { ExperimentSettings, PlannedChange } from "./settings.js";
import type { StackAccess } from "./stack-access.js";
import { requesterToken } from "./user-token.js";

/** One run to do. */
export interface RunOrder {
  readonly run: number;
  readonly seed: number;
  readonly rounds: number;
  readonly settings: ExperimentSettings;
  readonly change?: { readonly what: PlannedChange; readonly moment: ChangeMoment };
}

/** What happens during a run, for people to see. */
export interface RunListener {
  round(run: number, result: RoundResult): void;
  changed(run: number, duringRound: number, revision: number, inside: boolean): void;
  ended(run: number, status: EndStatus): void;
}

/**
 * One run: request, rounds, the change in between, and the agreement put back, whatever happens.
 * The change is made by another process, through the orchestrator's API alone.
 */
export async function performRun(
  stack: StackAccess,
  order: RunOrder,
  listener: RunListener,
  signal?: AbortSignal,
): Promise<RunResult> {
  const { settings, run, seed } = order;
  const rounds: RoundResult[] = [];
  const token = await requesterToken(stack.state, settings.user.userName);
  const client = new GatewayClient({ url: stack.gateway, token });
  const accepted = await client.submit({
    type: settings.request,
    user: settings.user,
    dataProviders: settings.dataProviders,
    data: { ...settings.data, rounds: order.rounds, seed },
  });
  if (accepted.status === "refused") {
    const first = accepted.reasons[0];
    const reason = `${first?.code ?? "POL-REFUSED"} ${first?.message ?? ""} (revision ${accepted.revision ?? "unknown"})`;
    rounds.push({ round: 1, status: "refused", reason });
    listener.ended(run, "refused");
    return { run, seed, jobId: "", rounds };
  }
  const { jobId } = accepted;
  const changer = order.change === undefined ? undefined : startChanger(stack, order, order.change, jobId);
  try {
    const end = await client.job(jobId).follow((report) => {
      const result = roundResult(report);
      rounds.push(result);
      listener.round(run, result);
    }, signal);
    const change = await changer?.changed();
    if (change !== undefined) listener.changed(run, change.duringRound, change.revision, change.inside);
    listener.ended(run, end.status);
    return {
      run,
      seed,
      jobId,
      ...(order.change === undefined ? {} : { changePlannedIn: order.change.moment.round }),
      ...(change === undefined
        ? {}
        : {
            changeDuringRound: change.duringRound,
            changeRevision: change.revision,
            changeInside: change.inside,
          }),
      rounds,
    };
  } catch (error) {
    // Nobody looks at it any more, so nobody shall work on it.
    if (signal?.aborted)
      await client
        .job(jobId)
        .cancel()
        .catch(() => {});
    throw error;
  } finally {
    await changer?.restore();
  }
}

function startChanger(
  stack: StackAccess,
  order: RunOrder,
  change: NonNullable<RunOrder["change"]>,
  job: string,
): Changer {
  return new Changer({
    state: stack.state,
    orchestrator: stack.operator.url,
    tokenFile: stack.operatorTokenFile,
    job,
    party: change.what.party,
    user: order.settings.user.userName,
    round: change.moment.round,
    fraction: change.moment.fraction,
  });
}

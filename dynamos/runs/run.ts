import type { Agreement } from "../../policy/contract/documents.js";
import type { EndStatus } from "../../policy/contract/job.js";
import { type Acceptance, GatewayClient } from "../client/gateway-client.js";
import { askedAtFirst, prepare, type ReadyChange } from "./change.js";
import { Changer } from "./changer-process.js";
import type { ChangeMoment } from "./draw.js";
import { payBack } from "./restore.js";
import { type RoundResult, type RunResult, roundResult } from "./result.js";
import { type ExperimentSettings, expectedAfter } from "./settings.js";
import type { StackAccess } from "./stack-access.js";
import { requesterToken } from "./user-token.js";

/** One run to do. */
export interface RunOrder {
  readonly run: number;
  readonly seed: number;
  readonly rounds: number;
  readonly settings: ExperimentSettings;
  readonly change?: ReadyChange & { readonly moment: ChangeMoment };
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
  const { change: planned } = order;
  const original =
    planned === undefined
      ? undefined
      : await prepare(planned, stack.operator, stack.state, settings.user.userName);
  const token = await requesterToken(stack.state, settings.user.userName);
  const client = new GatewayClient({ url: stack.gateway, token });
  const ask = (dataProviders: readonly string[], count: number) =>
    client.submit({
      type: settings.request,
      user: settings.user,
      dataProviders,
      data: { ...settings.data, rounds: count, seed },
    });
  const accepted = await ask(askedAtFirst(settings, planned?.what), order.rounds).catch(putBack);
  if (accepted.status === "refused") {
    await payBack(stack.state, stack.operator);
    const first = accepted.reasons[0];
    const reason = `${first?.code ?? "POL-REFUSED"} ${first?.message ?? ""} (revision ${accepted.revision ?? "unknown"})`;
    rounds.push({ round: 1, status: "refused", reason });
    listener.ended(run, "refused");
    return { run, seed, jobId: "", rounds };
  }
  const { jobId } = accepted;
  const changer = planned === undefined ? undefined : startChanger(stack, order, planned, jobId, original);
  try {
    const end = await client.job(jobId).follow((report) => {
      const result = roundResult(report);
      rounds.push(result);
      listener.round(run, result);
    }, signal);
    const change = await changer?.changed();
    if (change !== undefined) listener.changed(run, change.duringRound, change.revision, change.inside);
    listener.ended(run, end.status);
    // The party that joined is still in: whoever asks it as well is answered.
    const joined =
      planned?.what.do === "join" && change !== undefined
        ? await endOf(client, await ask(settings.dataProviders, 1))
        : undefined;
    return {
      run,
      seed,
      jobId,
      ...(planned === undefined ? {} : { changePlannedIn: planned.moment.round }),
      ...(planned === undefined || expectedAfter(planned.what) === "refused"
        ? {}
        : { changeThen: "goesOn" as const }),
      ...(joined === undefined ? {} : { joinedRequest: joined }),
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

  async function putBack(error: unknown): Promise<never> {
    await payBack(stack.state, stack.operator);
    throw error;
  }
}

/** How a request ends that was sent just now. */
async function endOf(client: GatewayClient, accepted: Acceptance): Promise<EndStatus> {
  if (accepted.status === "refused") return "refused";
  return (await client.job(accepted.jobId).follow(() => undefined)).status;
}

function startChanger(
  stack: StackAccess,
  order: RunOrder,
  change: NonNullable<RunOrder["change"]>,
  job: string,
  original: Agreement | undefined,
): Changer {
  return new Changer({
    state: stack.state,
    orchestrator: stack.operator.url,
    tokenFile: stack.operatorTokenFile,
    job,
    party: change.what.party,
    user: order.settings.user.userName,
    ...(change.agreement === undefined ? {} : { agreement: change.agreement }),
    ...(original === undefined ? {} : { original }),
    round: change.moment.round,
    fraction: change.moment.fraction,
  });
}

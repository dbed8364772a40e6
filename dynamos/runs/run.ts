import type { EndStatus } from "../../policy/contract/job.js";
import { type Acceptance, GatewayClient } from "../client/gateway-client.js";
import { afterChange, prepare } from "./change.js";
import type { MadeChange } from "./changer.js";
import { Changer } from "./changer-process.js";
import type { RunOrder } from "./plan-runs.js";
import { payBack } from "./restore.js";
import { type ChangeResult, type JobOfRun, type RoundResult, type RunResult, roundResult } from "./result.js";
import { joinLater } from "./settings.js";
import type { StackAccess } from "./stack-access.js";
import { requesterToken } from "./user-token.js";

/** What happens during a run, for people to see. */
export interface RunListener {
  round(run: number, result: RoundResult): void;
  changed(run: number, change: ChangeResult): void;
}

/**
 * One run: requests, rounds, the changes in between, and the agreements put back, whatever happens. Where a job was refused and changes are to come, the next request asks those who are in then,
 * for the rounds that are left. The changes are made by another process, through the orchestrator's API alone.
 */
export async function performRun(
  stack: StackAccess,
  order: RunOrder,
  listener: RunListener,
  signal?: AbortSignal,
): Promise<RunResult> {
  const changer = await prepared(stack, order);
  try {
    return await new Run(stack, order, listener, changer).perform(signal);
  } finally {
    await (changer?.restore() ?? payBack(stack.state, stack.operator));
  }
}

/** The changer, once those who join later are out. */
async function prepared(stack: StackAccess, { settings, changes }: RunOrder): Promise<Changer | undefined> {
  if (changes.length === 0) return undefined;
  const user = settings.user.userName;
  try {
    for (const party of joinLater(settings)) await prepare(party, stack.operator, stack.state, user);
  } catch (error) {
    await payBack(stack.state, stack.operator);
    throw error;
  }
  return new Changer({
    state: stack.state,
    orchestrator: stack.operator.url,
    tokenFile: stack.operatorTokenFile,
    user,
    changes: changes.map(({ what, agreement, moment }) => ({
      party: what.party,
      ...(agreement === undefined ? {} : { agreement }),
      ...moment,
    })),
  });
}

class Run {
  readonly #stack: StackAccess;
  readonly #order: RunOrder;
  readonly #listener: RunListener;
  readonly #changer: Changer | undefined;
  readonly #rounds: RoundResult[] = [];
  readonly #jobs: JobOfRun[] = [];
  readonly #changes: ChangeResult[];
  #isIn: ReadonlySet<string>;

  constructor(stack: StackAccess, order: RunOrder, listener: RunListener, changer: Changer | undefined) {
    this.#stack = stack;
    this.#order = order;
    this.#listener = listener;
    this.#changer = changer;
    const { settings, changes } = order;
    const later = changes.length === 0 ? [] : joinLater(settings);
    this.#isIn = new Set(settings.dataProviders.filter((party) => !later.includes(party)));
    this.#changes = changes.map(({ what, moment }) => ({
      party: what.party,
      do: what.do,
      plannedIn: moment.round,
    }));
  }

  async perform(signal: AbortSignal | undefined): Promise<RunResult> {
    const { run, seed, rounds, settings } = this.#order;
    const token = await requesterToken(this.#stack.state, settings.user.userName);
    const client = new GatewayClient({ url: this.#stack.gateway, token });
    let last: RoundResult | undefined;
    do {
      await this.#job(client, (last?.round ?? 0) + 1, signal);
      last = this.#rounds.at(-1);
    } while (
      this.#jobs.length > 0 &&
      last?.status === "refused" &&
      last.round < rounds &&
      this.#changes.some((change) => change.duringRound === undefined)
    );
    // A party that joined is still in: whoever asks it as well is answered.
    const asked = new Set(this.#jobs.at(-1)?.dataProviders);
    const joined = this.#changes.some(
      ({ party, duringRound, ...change }) =>
        change.do === "join" && duringRound !== undefined && this.#isIn.has(party) && !asked.has(party),
    );
    const joinedRequest = joined ? await endOf(client, await this.#ask(client, 1)) : undefined;
    return {
      run,
      seed,
      jobs: this.#jobs,
      changes: this.#changes,
      ...(joinedRequest === undefined ? {} : { joinedRequest }),
      rounds: this.#rounds,
    };
  }

  /** One request, followed to its end. */
  async #job(client: GatewayClient, firstRound: number, signal: AbortSignal | undefined): Promise<void> {
    const { run, rounds } = this.#order;
    const dataProviders = this.#asked();
    const accepted = await this.#ask(client, rounds - firstRound + 1);
    if (accepted.status === "refused") {
      const first = accepted.reasons[0];
      const reason = `${first?.code ?? "POL-REFUSED"} ${first?.message ?? ""} (revision ${accepted.revision ?? "unknown"})`;
      this.#round({ round: firstRound, status: "refused", reason });
      return;
    }
    const { jobId } = accepted;
    this.#jobs.push({ jobId, firstRound, dataProviders });
    this.#changer?.follow(jobId, firstRound);
    try {
      await client.job(jobId).follow((report) => {
        const result = roundResult(report);
        this.#round({ ...result, round: firstRound + result.round - 1 });
      }, signal);
      for (const made of (await this.#changer?.made()) ?? []) {
        this.#changed(made, new Set([...dataProviders, ...this.#compute()]));
        this.#listener.changed(run, this.#changes[made.which] as ChangeResult);
      }
    } catch (error) {
      // Nobody looks at it any more, so nobody shall work on it.
      if (signal?.aborted)
        await client
          .job(jobId)
          .cancel()
          .catch(() => {});
      throw error;
    }
  }

  #round(result: RoundResult): void {
    this.#rounds.push(result);
    this.#listener.round(this.#order.run, result);
  }

  #changed({ which, ...made }: MadeChange, parties: ReadonlySet<string>): void {
    const change = this.#order.changes[which];
    const known = this.#changes[which];
    if (change === undefined || known === undefined) return;
    const { isIn, next } = afterChange(change, this.#order.settings.user.userName, this.#isIn, parties);
    this.#isIn = isIn;
    this.#changes[which] = { ...known, ...made, next };
  }

  #asked(): readonly string[] {
    return this.#order.settings.dataProviders.filter((party) => this.#isIn.has(party));
  }

  /** Parties that change and give no data: they compute, and so are in every job. */
  #compute(): readonly string[] {
    const { dataProviders } = this.#order.settings;
    return this.#changes.map(({ party }) => party).filter((party) => !dataProviders.includes(party));
  }

  #ask(client: GatewayClient, rounds: number): Promise<Acceptance> {
    const { settings, seed } = this.#order;
    return client.submit({
      type: settings.request,
      user: settings.user,
      dataProviders: this.#asked(),
      data: { ...settings.data, rounds, seed },
    });
  }
}

/** How a request ends that was sent just now. */
async function endOf(client: GatewayClient, accepted: Acceptance): Promise<EndStatus> {
  if (accepted.status === "refused") return "refused";
  return (await client.job(accepted.jobId).follow(() => undefined)).status;
}

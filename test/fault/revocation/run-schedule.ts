/** Does one schedule against the running services and says what was wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import type { JobEnd } from "../../../policy/contract/job.js";
import { until } from "../../support/servers.js";
import type { Outcome } from "../suite.js";
import { type Acknowledged, Ledger, type Round, wrongRounds, wrongWork } from "./checker.js";
import { agreementAfter, agreementAtFirst, userOf } from "./documents.js";
import { AuditedGrants, type Granted, type Note, Notes, StoreHistory } from "./history.js";
import { ask } from "./request.js";
import { describe, type Party, type Schedule } from "./schedule.js";
import { PARTIES, type Service, type Services } from "./services.js";

export interface RevocationOutcome extends Outcome {
  readonly status: string;
  /** Of the end, in the words of its first reason or problem. */
  readonly code: string;
  readonly rounds: number;
  readonly steps: number;
  readonly roundsAfterChange: number;
  readonly workWithoutGrant: number;
  readonly struck: boolean;
  /** Milliseconds from the change's acknowledgement to the answer; 0: it came before. */
  readonly answerMs: number;
}

/** What came of a job for the one who asked. */
export interface Answer {
  readonly job: string | undefined;
  readonly end: JobEnd;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** An answer must be there after so long: above all that the services wait for among each other. */
const ANSWER_MS = 45_000;
/** What a `stop` may take on a busy machine; the step that it stops would take 8 s. */
const STOP_MS = 4_000;
/** What an end may take from its telling to the store. */
const WRITTEN_MS = 3_000;
const MANY_ROUNDS = 400;

/** The services, and all that is known of what they did so far. */
export class Ground {
  readonly #services: Services;
  readonly #history: StoreHistory;
  readonly #notes: Notes;
  readonly #audit: AuditedGrants;
  readonly #ledger = new Ledger();
  readonly #checked = new Set<string>();
  readonly #grants: Granted[] = [];
  readonly #changes: Acknowledged[] = [];

  constructor(services: Services) {
    this.#services = services;
    this.#history = new StoreHistory(services.store.endpoint);
    this.#notes = new Notes(`${services.folder}/notes.jsonl`);
    this.#audit = new AuditedGrants(services.auditFolder);
  }

  async run(schedule: Schedule): Promise<RevocationOutcome> {
    const began = performance.now();
    const wrong: string[] = [];
    await this.#allBack();
    const firsts = await Promise.all(
      PARTIES.map((party) => this.#write(party, agreementAtFirst(party, schedule))),
    );
    await this.#enforcerKnows(Math.max(...firsts.map(({ revision }) => revision)));
    const fell = Promise.withResolvers<void>();
    fell.promise.catch(() => {}); // told below, after the answer
    let change: Acknowledged | undefined;
    const act = async (): Promise<void> => {
      await sleep(schedule.delay);
      const { blow } = schedule;
      const lead = Math.max(0, -(blow?.at ?? 0));
      const [acknowledged] = await Promise.all([
        sleep(lead).then(() => this.#change(schedule)),
        blow === undefined ? undefined : sleep(blow.at + lead).then(() => this.#strike(schedule)),
      ]);
      change = acknowledged;
    };
    let triggered = false;
    const trigger = (): void => {
      if (!triggered) act().then(fell.resolve, fell.reject);
      triggered = true;
    };
    const lasting = ["harmless", "blink"].includes(schedule.way);
    const request = {
      type: "relay",
      user: { id: "1", userName: userOf(schedule) },
      dataProviders: schedule.asked,
      options: schedule.lacking === undefined ? {} : { requireAll: false },
      data: {
        file: this.#notes.file,
        rounds: lasting ? schedule.after + 4 : MANY_ROUNDS,
        stepMs: schedule.stepMs,
        slowMs: schedule.slowMs,
        slowRound: lasting ? 0 : schedule.after + 1,
        slowParty: schedule.leaver,
      },
    };
    const headers = await this.#services.asUser(userOf(schedule));
    let answer: Answer | undefined;
    try {
      answer = await ask(this.#services.gateway.url, headers, request, schedule.after, trigger, ANSWER_MS);
    } catch (error) {
      wrong.push(`no answer: ${String(error)}`);
    }
    trigger();
    await fell.promise.catch((error: unknown) => wrong.push(`no change: ${String(error)}`));
    for (const service of this.#services.all()) service.thaw();
    await this.#readHistory(answer?.job);
    const rounds = [...this.#ledger.rounds].filter(([key]) => !this.#checked.has(key));
    for (const [key] of rounds) this.#checked.add(key);
    this.#grants.push(...this.#audit.read());
    const notes = this.#notes.read();
    const wrongOpened = wrongRounds(
      rounds.map(([, round]: [string, Round]) => round),
      this.#changes,
    );
    const ungranted = wrongWork(notes, this.#ledger.rounds, this.#grants, this.#services.enforcer.kills);
    wrong.push(...wrongOpened, ...ungranted);
    if (answer !== undefined) wrong.push(...wrongAnswer(schedule, answer, change, notes, this.#ledger));
    if (wrong.length > 0) wrong.push(...this.#logs(answer?.job));
    return {
      seed: schedule.seed,
      ok: wrong.length === 0,
      story: [describe(schedule), `${answer?.end.status ?? "unanswered"} ${codeOf(answer?.end)}`],
      seconds: (performance.now() - began) / 1_000,
      wrong,
      status: answer?.end.status ?? "unanswered",
      code: codeOf(answer?.end),
      rounds: rounds.length,
      steps: notes.filter(({ what }) => what === "begin").length,
      roundsAfterChange: wrongOpened.length,
      workWithoutGrant: ungranted.length,
      struck: schedule.blow !== undefined,
      answerMs: Math.max(0, (answer?.at ?? 0) - (change?.at ?? Number.POSITIVE_INFINITY)),
    };
  }

  /** Reads the store's history, until this job's end is in it or too late: an end is told before it is written. */
  async #readHistory(job: string | undefined): Promise<void> {
    for (const deadline = performance.now() + WRITTEN_MS; ; await sleep(20)) {
      await this.#history.read();
      this.#ledger.follow(this.#history.events);
      if (job === undefined || this.#ledger.ends.has(job) || performance.now() > deadline) return;
    }
  }

  /** All services work, and all agents are known to. */
  async #allBack(): Promise<void> {
    await Promise.all(this.#services.all().map((service) => service.ready()));
    await until("all agents online", async () => {
      const { body } = await this.#services.api("GET", "agents");
      return (body.agents as readonly unknown[]).length === PARTIES.length;
    });
  }

  /** A right that was just given may be refused for a moment: the enforcer hears of it by its watch. */
  async #enforcerKnows(revision: number): Promise<void> {
    const question = { type: "relay", user: { id: "0", userName: "nobody@fault" }, dataProviders: ["one"] };
    const headers = await this.#services.asUser(question.user.userName);
    await until(`the enforcer knows revision ${revision}`, async () => {
      const response = await fetch(`${this.#services.gateway.url}/api/v1/requestApproval`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(question),
      });
      return Number(((await response.json()) as { readonly revision?: number }).revision) >= revision;
    });
  }

  async #change(schedule: Schedule): Promise<Acknowledged> {
    const { leaver, way } = schedule;
    const acknowledged =
      way === "garbage"
        ? await this.#putPast(leaver, agreementAfter(schedule))
        : await this.#write(leaver, agreementAfter(schedule));
    this.#changes.push(acknowledged);
    if (way === "blink") this.#changes.push(await this.#write(leaver, agreementAtFirst(leaver, schedule)));
    return acknowledged;
  }

  async #strike({ blow, leaver, asked }: Schedule): Promise<void> {
    if (blow === undefined) return;
    const victims: Record<typeof blow.victim, Service> = {
      enforcer: this.#services.enforcer,
      orchestrator: this.#services.orchestrator,
      leaver: this.#services.agent(leaver),
      other: this.#services.agent(asked.find((party) => party !== leaver) ?? "hub"),
    };
    const victim = victims[blow.victim];
    if (blow.how === "freeze") return victim.freeze();
    await victim.kill9();
    await sleep(blow.back);
    victim.start();
  }

  /** Writes through the API, bound to what is there; an orchestrator that is away is waited for. `undefined`: takes it away. */
  async #write(party: Party, document: unknown): Promise<Acknowledged> {
    const path = `policyEnforcer/agreements/${party}`;
    const wanted = JSON.stringify(document);
    for (const deadline = performance.now() + 30_000; ; await sleep(20)) {
      try {
        const live = await this.#services.api("GET", path);
        // An answer may have been lost after the write.
        if (live.status === 404 && document === undefined)
          return { party, revision: await this.#revision(), at: Date.now() };
        if (JSON.stringify(live.body.document) === wanted)
          return { party, revision: Number(live.body.revision), at: Date.now() };
        const match =
          live.status === 404 ? { "if-none-match": "*" } : { "if-match": String(live.body.revision) };
        const { status, body } = await this.#services.api(
          document === undefined ? "DELETE" : "PUT",
          path,
          document,
          match,
        );
        if (status === 200) return { party, revision: Number(body.revision), at: Date.now() };
        if (status !== 412 && status < 500)
          throw new RangeError(`${party}: HTTP ${status} ${JSON.stringify(body)}`);
      } catch (error) {
        if (error instanceof RangeError || performance.now() > deadline) throw error;
      }
    }
  }

  /** Puts it into etcd past everybody. */
  async #putPast(party: Party, value: unknown): Promise<Acknowledged> {
    const encoded = (text: string): string => Buffer.from(text).toString("base64");
    const response = await fetch(`http://${this.#services.store.endpoint}/v3/kv/put`, {
      method: "POST",
      body: JSON.stringify({
        key: encoded(`/policyEnforcer/agreements/${party}`),
        value: encoded(JSON.stringify(value)),
      }),
    });
    const { header } = (await response.json()) as { header: { revision: string } };
    return { party, revision: Number(header.revision), at: Date.now() };
  }

  async #revision(): Promise<number> {
    const { body } = await this.#services.api("GET", "policyEnforcer/agreements");
    return Number(body.revision);
  }

  #logs(job: string | undefined): string[] {
    if (job === undefined) return [];
    return this.#services
      .all()
      .flatMap((service) => service.said(job).map((line) => `${service.name}: ${line.slice(0, 400)}`));
  }
}

const codeOf = (end: JobEnd | undefined): string => end?.reasons?.[0]?.code ?? end?.problem?.code ?? "";

/** Whether the one who asked got the right answer in time, and whether work ended when it had to. */
function wrongAnswer(
  { way, leaver, stop, blow }: Schedule,
  { job, end, at }: Answer,
  change: Acknowledged | undefined,
  notes: readonly Note[],
  { ends }: Ledger,
): string[] {
  const wrong: string[] = [];
  const lasting = way === "harmless" || way === "blink";
  const { status, reasons = [], revision = 0, problem } = end;
  const told = JSON.stringify(end).slice(0, 600);
  if (status === "refused") {
    if (reasons.length === 0) wrong.push(`refused without a reason: ${told}`);
    if (way === "harmless") wrong.push(`refused, although nothing was taken away: ${told}`);
    else if (!reasons.some(({ party }) => party === leaver))
      wrong.push(`refused for another reason: ${told}`);
    if (!lasting && change !== undefined && revision < change.revision)
      wrong.push(`refused at revision ${revision}, before the change at ${change.revision}`);
  } else if (status === "failed") {
    if (problem?.code === undefined) wrong.push(`failed without a code: ${told}`);
    if (blow === undefined) wrong.push(`failed, although nobody was hit: ${told}`);
  } else if (!lasting) wrong.push(`completed, although the permission was taken away: ${told}`);
  if (job !== undefined && status !== "completed" && !ends.has(job) && blow?.victim !== "orchestrator")
    wrong.push(`the end of job ${job} is not in the store`);
  const frozen = blow?.how === "freeze";
  const own = notes.filter((note) => note.job === job);
  const late = own.filter((note) => note.what === "begin" && note.at > at + STOP_MS);
  if (!frozen && late.length > 0) wrong.push(`work after the end: ${JSON.stringify(late[0])}`);
  if (stop && !lasting && change !== undefined && !(frozen && blow.victim === "leaver")) {
    const on = own.filter((note) => note.party === leaver && note.at > change.at + STOP_MS);
    if (on.length > 0) wrong.push(`${leaver} worked on after it stopped: ${JSON.stringify(on[0])}`);
    if (blow === undefined && at > change.at + STOP_MS)
      wrong.push(`the answer came ${at - change.at} ms after a change that stops at once`);
  }
  return wrong;
}

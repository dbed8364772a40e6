/** What must hold of a history (docs/faults.md). By the reference of docs/policy.md, with none of the services' code. */
import type { Agreement, Archetype, RequestType } from "../../../policy/contract/documents.js";
import { referenceDecision, type World } from "../../support/reference-decision.js";
import type { Event, Granted, Note } from "./history.js";

/** A change of an agreement that was answered: from then on it must hold. */
export interface Acknowledged {
  readonly party: string;
  readonly revision: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

interface JobRecord {
  readonly job: string;
  readonly user: string;
  readonly requestType: string;
  readonly archetype: string;
  readonly dataProviders: readonly string[];
  readonly computeProviders: readonly string[];
}

interface RoundRecord {
  readonly job: string;
  readonly round: number;
  readonly agreements: Readonly<Record<string, number>>;
  readonly openedAt: string;
}

export interface Round {
  readonly record: RoundRecord;
  readonly token: number;
  readonly job: JobRecord;
  /** What the agreements said at that revision. */
  readonly allowed: boolean;
  /** Parties whose revision was not the one that the record says was compared. */
  readonly differing: readonly string[];
}

export interface Counts {
  readonly rounds: number;
  readonly steps: number;
  readonly roundsAfterChange: number;
  readonly workWithoutGrant: number;
}

/** Follows etcd's history, and knows of each round whether it might open. */
export class Ledger {
  readonly rounds = new Map<string, Round>();
  readonly ends = new Set<string>();
  readonly #agreements = new Map<string, { readonly document: Agreement; readonly revision: number }>();
  readonly #archetypes = new Map<string, Archetype>();
  readonly #requestTypes = new Map<string, RequestType>();
  readonly #jobs = new Map<string, JobRecord>();
  #taken = 0;

  /** @param events - all of the history; those known already are passed over */
  follow(events: readonly Event[]): void {
    for (; this.#taken < events.length; this.#taken += 1) {
      const event = events[this.#taken];
      if (event !== undefined) this.#take(event);
    }
  }

  #take({ key, value, revision }: Event): void {
    const [, room = "", name = "", third] = key.split("/");
    if (room === "policyEnforcer" && name === "agreements" && third !== undefined) {
      if (isAgreement(value, third)) this.#agreements.set(third, { document: value, revision });
      else this.#agreements.delete(third);
    } else if (room === "archetypes") this.#archetypes.set(name, value as Archetype);
    else if (room === "requestTypes") this.#requestTypes.set(name, value as RequestType);
    else if (room === "jobs" && third === undefined) this.#jobs.set(name, value as JobRecord);
    else if (room === "jobs" && third === "end") this.ends.add(name);
    else if (room === "rounds" && third !== undefined)
      this.#open(value as RoundRecord, revision, this.#jobs.get(name));
  }

  #open(record: RoundRecord, token: number, job: JobRecord | undefined): void {
    if (job === undefined) throw new Error(`a round of job ${record.job}, which has no record`);
    const world: World = {
      agreements: [...this.#agreements.values()],
      archetypes: [...this.#archetypes.values()],
      requestTypes: [...this.#requestTypes.values()],
      dataSets: [], // the schedules' request types read none
    };
    const { requestType, user, dataProviders, archetype, computeProviders } = job;
    const [computeProvider] = computeProviders.filter((party) => !dataProviders.includes(party));
    const asked = { requestType, user, dataProviders, archetype, requireAll: true };
    const { allow } = referenceDecision(
      computeProvider === undefined ? asked : { ...asked, computeProvider },
      world,
      Date.parse(record.openedAt),
    );
    const parties = new Set([...dataProviders, ...computeProviders]);
    const differing = [...parties].filter(
      (party) => this.#agreements.get(party)?.revision !== record.agreements[party],
    );
    this.rounds.set(`${record.job} ${record.round}`, { record, token, job, allowed: allow, differing });
  }
}

/** As far as the schedules bend one. */
function isAgreement(value: unknown, name: string): value is Agreement {
  const document = value as Partial<Agreement> | undefined;
  return (
    document?.name === name && typeof document.relations === "object" && Array.isArray(document.archetypes)
  );
}

/** Rounds that should not have been opened. */
export function wrongRounds(rounds: readonly Round[], changes: readonly Acknowledged[]): string[] {
  return rounds.flatMap(({ record, token, job, allowed, differing }) => {
    const what = `round ${record.round} of job ${record.job}, opened at revision ${token}`;
    const parties = [...job.dataProviders, ...job.computeProviders];
    const stale = changes.filter(
      ({ party, revision, at }) =>
        parties.includes(party) &&
        // The record must have been compared with this change or a later one, by etcd's order and by the clock.
        (token > revision || Date.parse(record.openedAt) > at) &&
        (record.agreements[party] ?? 0) < revision,
    );
    return [
      ...(allowed ? [] : [`${what}: the agreements did not allow it`]),
      ...differing.map((party) => `${what}: ${party}'s agreement was not the one compared`),
      ...stale.map(({ party, revision }) => `${what}: after ${party}'s acknowledged change ${revision}`),
    ];
  });
}

/**
 * Steps that nobody had granted.
 *
 * @param enforcerKills - times: between an answer and its record a kill leaves a grant without a line
 */
export function wrongWork(
  notes: readonly Note[],
  rounds: ReadonlyMap<string, Round>,
  grants: readonly Granted[],
  enforcerKills: readonly number[],
): string[] {
  const granted = new Map<string, Granted[]>();
  for (const grant of grants) {
    const key = `${grant.job} ${grant.round}`;
    granted.set(key, [...(granted.get(key) ?? []), grant]);
  }
  return notes.flatMap(({ what, job, round: number, step, party, at }) => {
    if (what !== "begin") return [];
    const said = `${party} began ${step} of round ${number} of job ${job}`;
    const round = rounds.get(`${job} ${number}`);
    if (round === undefined) return [`${said}: nobody opened that round`];
    const opened = Date.parse(round.record.openedAt);
    const own = (granted.get(`${job} ${number}`) ?? []).filter((grant) => grant.token === round.token);
    const lost = enforcerKills.some((kill) => kill >= opened && kill < opened + 5_000);
    return [
      ...(at < opened ? [`${said} ${opened - at} ms before it was opened`] : []),
      ...(own.length === 0 && !lost ? [`${said}: no grant for it in the audit`] : []),
      ...(own.length > 0 && !own.some(({ parties }) => parties.includes(party))
        ? [`${said}: the grant does not name it`]
        : []),
    ];
  });
}

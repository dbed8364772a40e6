/** Random documents and requests for decisions, from a seed: few names, so that rules and requests meet often. */
import type {
  Agreement,
  Columns,
  Dataset,
  Relation,
  RequestType,
  Validity,
} from "../../policy/contract/documents.js";
import type { Asked, World } from "./reference-decision.js";

const PARTIES = ["a", "b", "c", "d"];
const USERS = ["u", "v"];
const TYPES = ["s", "t"];
const ARCHETYPES = ["here", "there", "elsewhere"];
const SETS = ["x", "y"];
/** The last is one of a data set with several tables. */
const COLUMNS = ["k", "l", "t.m"];
const TIMES = [1, 2, 3, 4, 5].map((day) => `2026-01-0${day}T00:00:00Z`);

/** Random documents and requests; the same for the same seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  world(): World {
    return {
      agreements: PARTIES.filter(() => this.#chance(0.9)).map((name) => ({
        document: this.#agreement(name),
        revision: 100 + Math.floor(this.#next() * 100),
      })),
      archetypes: ARCHETYPES.map((name) => ({
        name,
        computeProvider: this.#chance(0.4) ? "dataProvider" : "other",
        resultRecipient: "requestor",
        weight: Math.floor(this.#next() * 3),
      })),
      requestTypes: TYPES.map((name) => this.#requestType(name)),
      dataSets: SETS.filter(() => this.#chance(0.8)).map((name) => this.#dataSet(name)),
    };
  }

  request(): Asked {
    const asked: { -readonly [K in keyof Asked]: Asked[K] } = {
      requestType: this.#chance(0.02) ? "unknown" : this.#one(TYPES),
      user: this.#chance(0.02) ? "" : this.#chance(0.03) ? "w" : this.#one(USERS),
      dataProviders: this.#chance(0.02)
        ? []
        : [this.#one(PARTIES), ...this.#some(PARTIES, 0.3), ...this.#some(["nope"], 0.02)],
    };
    if (this.#chance(0.2)) asked.dataSets = this.#some(SETS, 0.6);
    if (this.#chance(0.2)) asked.columns = this.#columns();
    if (this.#chance(0.2)) asked.archetype = this.#chance(0.05) ? "magic" : this.#one(ARCHETYPES);
    if (this.#chance(0.2)) asked.computeProvider = this.#chance(0.05) ? "nobody" : this.#one(PARTIES);
    if (this.#chance(0.5)) asked.requireAll = this.#chance(0.3);
    return asked;
  }

  /** Often the very moment at which a rule begins or ends, or one beside it. */
  now(): number {
    return Date.parse(this.#one(TIMES)) + this.#one([-1, 0, 1]);
  }

  /** A whole number from 0, less than `count`. */
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  /** In [0, 1) (mulberry32). */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  #chance(p: number): boolean {
    return this.#next() < p;
  }

  #one<T>(values: readonly T[]): T {
    return values[Math.floor(this.#next() * values.length)] as T;
  }

  #some(names: readonly string[], p: number): string[] {
    return names.filter(() => this.#chance(p));
  }

  /** In any order. Most rights are given, else nearly everything would be denied. */
  #most(names: readonly string[]): string[] {
    const given = this.#chance(0.7) ? [...names] : this.#some(names, 0.6);
    return this.#chance(0.5) ? given : given.reverse();
  }

  #columns(): Columns {
    const sets = this.#some(SETS, 0.5);
    return Object.fromEntries(sets.map((set) => [set, this.#chance(0.6) ? COLUMNS : [this.#one(COLUMNS)]]));
  }

  #times(p: number): Validity {
    return {
      ...(this.#chance(p) ? { notBefore: this.#one(TIMES.slice(0, this.#chance(0.8) ? 2 : 5)) } : {}),
      ...(this.#chance(p) ? { notAfter: this.#one(TIMES.slice(this.#chance(0.8) ? 3 : 0)) } : {}),
    };
  }

  #relation(): Relation {
    return {
      ID: "1",
      requestTypes: this.#most(TYPES),
      ...(this.#chance(0.5) ? { dataSets: this.#most(SETS) } : {}),
      ...(this.#chance(0.3) ? { columns: this.#columns() } : {}),
      ...(this.#chance(0.8) ? { persistence: "job" as const } : {}),
      allowedArchetypes: this.#most(ARCHETYPES),
      allowedComputeProviders: this.#most(PARTIES),
      ...this.#times(0.15),
    };
  }

  #agreement(name: string): Agreement {
    const users = USERS.filter(() => this.#chance(0.9));
    return {
      name,
      relations: Object.fromEntries(users.map((user) => [user, this.#relation()])),
      computeProviders: this.#most(PARTIES),
      archetypes: this.#most(ARCHETYPES),
      ...this.#times(0.1),
    };
  }

  #requestType(name: string): RequestType {
    return {
      name,
      requiredServices: [],
      ...(this.#chance(0.5) ? { dataSets: this.#some(SETS, 0.5) } : {}),
      ...(this.#chance(0.3) ? { columns: this.#columns() } : {}),
      ...(this.#chance(0.3) ? { requireAll: this.#chance(0.4) } : {}),
      ...(this.#chance(0.2) ? { persistence: "job" as const } : {}),
    };
  }

  #dataSet(name: string): Dataset {
    return {
      name,
      type: "csv",
      delimiter: ",",
      tables: this.#chance(0.4) ? ["t", "o"] : ["t"],
      ...(this.#chance(0.7) ? { sensitive_columns: { t: this.#some(["k", "l", "m"], 0.4) } } : {}),
    };
  }
}

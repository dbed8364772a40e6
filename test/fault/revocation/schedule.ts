/**
 * What one schedule does, drawn from its seed: a job with parties, a change of one party's agreement at some moment of it, and who is killed or frozen
 * meanwhile. Pure: the same seed gives the same schedule.
 */
import { type Draw, drawFrom } from "../draw.js";

export const PROVIDERS = ["one", "two", "three"] as const;
export const HUB = "hub";
export type Party = (typeof PROVIDERS)[number] | typeof HUB;

/**
 * What becomes of the agreement. `leave`: the user is taken out. `garbage`: something that is no agreement is put into the store past the API.
 * `blink`: taken away and given again at once. `harmless`: a change that takes nothing away.
 */
export type Way =
  | "leave"
  | "requestType"
  | "archetype"
  | "computeProvider"
  | "expire"
  | "delete"
  | "garbage"
  | "blink"
  | "harmless";

export type Victim = "enforcer" | "orchestrator" | "leaver" | "other";

export interface Blow {
  readonly victim: Victim;
  /** `freeze`: cut off from everybody until the job has ended. */
  readonly how: "kill" | "freeze";
  /** Milliseconds from the change; negative: before it. */
  readonly at: number;
  /** Milliseconds after which a killed service is started again. */
  readonly back: number;
}

export interface Schedule {
  readonly seed: number;
  readonly archetype: "through" | "local";
  /** Asked for. */
  readonly asked: readonly Party[];
  /** Asked for, but without a right from the start: the request says `requireAll: false`. */
  readonly lacking: Party | undefined;
  readonly leaver: Party;
  readonly way: Way;
  /** The leaver's agreement says `stop`. */
  readonly stop: boolean;
  /** The change comes after the report of this round, 0: at once when the request is sent. */
  readonly after: number;
  /** Milliseconds after that. */
  readonly delay: number;
  /** Milliseconds of each step. */
  readonly stepMs: number;
  /** Milliseconds of the leaver's step in the round after `after`. */
  readonly slowMs: number;
  readonly blow: Blow | undefined;
}

export function drawSchedule(seed: number): Schedule {
  const draw = drawFrom(seed);
  const archetype = draw.weighted([["through", 3] as const, ["local", 1] as const]);
  const pool = [...PROVIDERS];
  const asked = Array.from(
    { length: draw.one([1, 1, 1, 2, 2, 2, 3]) },
    () => pool.splice(draw.int(0, pool.length - 1), 1)[0],
  ).filter((party) => party !== undefined);
  const lacking = asked.length > 1 && draw.chance(0.25) ? draw.one(asked) : undefined;
  const taking: Party[] = asked.filter((party) => party !== lacking);
  const leaver = archetype === "through" && draw.chance(0.2) ? HUB : draw.one(taking);
  const ways: (readonly [Way, number])[] = [
    ["leave", 4],
    ["requestType", 2],
    ["expire", 1],
    ["delete", 3],
    ["garbage", 1],
    ["blink", 1],
    ["harmless", 1],
    // A party that only computes is asked for its request types alone.
    ...(leaver === HUB ? [] : [["archetype", 2] as const]),
    ...(leaver === HUB || archetype === "local" ? [] : [["computeProvider", 2] as const]),
  ];
  const stop = draw.chance(0.4);
  return {
    seed,
    archetype,
    asked,
    lacking,
    leaver,
    way: draw.weighted(ways),
    stop,
    after: draw.int(0, 4),
    delay: draw.weighted([
      [0, 2],
      [draw.int(1, 20), 3],
      [draw.int(20, 120), 2],
    ]),
    stepMs: draw.weighted([
      [0, 2],
      [draw.int(1, 15), 2],
    ]),
    slowMs: stop ? 8_000 : draw.weighted([[0, 2] as const, [draw.int(100, 600), 1] as const]),
    blow: draw.chance(0.55) ? drawBlow(draw) : undefined,
  };
}

function drawBlow(draw: Draw): Blow {
  const how = draw.chance(0.12) ? "freeze" : "kill";
  const agents = [["leaver", 3] as const, ["other", 2] as const];
  return {
    // Somebody must be there to take the change and to answer: only a party is cut off for good.
    victim: draw.weighted<Victim>(
      how === "freeze" ? agents : [["enforcer", 3], ["orchestrator", 2], ...agents],
    ),
    how,
    at: draw.int(-60, 60),
    back: draw.int(0, 300),
  };
}

export function describe({
  archetype,
  asked,
  lacking,
  leaver,
  way,
  stop,
  after,
  delay,
  blow,
}: Schedule): string {
  const parties = asked.map((party) => (party === lacking ? `(${party})` : party)).join("+");
  const hit =
    blow === undefined
      ? ""
      : `, ${blow.how} ${blow.victim} ${blow.at < 0 ? `${-blow.at} ms before` : `${blow.at} ms after`}`;
  return `${archetype} ${parties}: ${leaver} ${way}${stop ? " (stop)" : ""} ${delay} ms after round ${after}${hit}`;
}

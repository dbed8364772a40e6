import { describe, expect, it } from "vitest";
import { Ledger, wrongRounds, wrongWork } from "../../fault/revocation/checker.js";
import { agreementAfter, agreementAtFirst, TYPES } from "../../fault/revocation/documents.js";
import type { Event, Granted, Note } from "../../fault/revocation/history.js";
import { drawSchedule, HUB, type Party, type Schedule } from "../../fault/revocation/schedule.js";

const schedule: Schedule = {
  ...drawSchedule(1),
  asked: ["one"],
  lacking: undefined,
  leaver: "one",
  archetype: "through",
};
const user = `u${schedule.seed}@fault`;
const agreement = (party: "one" | "hub") => agreementAtFirst(party, schedule);
const openedAt = "2026-11-23T10:00:00.000Z";
const at = Date.parse(openedAt);

/** A history: two agreements at revisions 11 and 12, a job, then these. */
function history(...more: Event[]): Event[] {
  return [
    {
      key: "/archetypes/through",
      value: { name: "through", computeProvider: "other", weight: 1 },
      revision: 2,
    },
    { key: "/requestTypes/relay", value: TYPES[0], revision: 3 },
    { key: "/policyEnforcer/agreements/one", value: agreement("one"), revision: 11 },
    { key: "/policyEnforcer/agreements/hub", value: agreement("hub"), revision: 12 },
    {
      key: "/jobs/j",
      value: {
        ...{ job: "j", user, requestType: "relay", archetype: "through" },
        ...{ dataProviders: ["one"], computeProviders: [HUB] },
      },
      revision: 13,
    },
    ...more,
  ];
}
const round = (revision: number, agreements: object = { one: 11, hub: 12 }): Event => ({
  key: "/rounds/j/000001",
  value: { job: "j", round: 1, agreements, openedAt },
  revision,
});
const change = (revision: number, value: unknown): Event => ({
  key: "/policyEnforcer/agreements/one",
  value,
  revision,
});
const ledgerOf = (events: readonly Event[]): Ledger => {
  const ledger = new Ledger();
  ledger.follow(events);
  return ledger;
};
const wrong = (
  events: readonly Event[],
  changes: { party: string; revision: number; at: number }[] = [],
): string[] => wrongRounds([...ledgerOf(events).rounds.values()], changes);

describe("the checker of revocations", () => {
  it("finds nothing in a round that was allowed and compared", () => {
    expect(wrong(history(round(14)))).toEqual([]);
    expect(
      wrong(history(round(14), change(15, undefined)), [{ party: "one", revision: 15, at: at + 1 }]),
    ).toEqual([]);
  });

  it.each([
    ["taken away", undefined],
    ["without the user", { ...agreement("one"), relations: {} }],
    ["no agreement", { name: "one", relations: 7 }],
  ])("finds a round that was opened although the agreement was %s", (_how, value) => {
    expect(wrong(history(change(14, value), round(15)))).toContainEqual(
      expect.stringContaining("round 1 of job j, opened at revision 15: the agreements did not allow it"),
    );
  });

  it("finds a round that did not compare what was there", () => {
    const again = { ...agreement("one"), computeProviders: ["hub", "other"] };
    expect(wrong(history(change(14, again), round(15)))).toEqual([
      "round 1 of job j, opened at revision 15: one's agreement was not the one compared",
    ]);
  });

  it("finds a round after an acknowledged change, by etcd's order or by the clock", () => {
    const events = history(round(14));
    expect(wrong(events, [{ party: "one", revision: 13, at: at + 9 }])).toHaveLength(1);
    expect(wrong(events, [{ party: "one", revision: 15, at: at - 1 }])).toHaveLength(1);
    expect(wrong(events, [{ party: "three", revision: 13, at: at - 1 }])).toEqual([]);
  });

  it("finds work in a round that nobody opened, too early, without a grant, or by a stranger", () => {
    const { rounds } = ledgerOf(history(round(14)));
    const note = (more: Partial<Note> = {}): Note => ({
      ...{ what: "begin", at: at + 5, job: "j", round: 1, step: "give", party: "one" },
      ...more,
    });
    const grant: Granted = { job: "j", round: 1, token: 14, parties: ["one", "hub"] };
    const found = (note: Note, grants: readonly Granted[] = [grant], kills: readonly number[] = []) =>
      wrongWork([note], rounds, grants, kills);
    expect(found(note())).toEqual([]);
    expect(found(note({ round: 2 }))).toHaveLength(1);
    expect(found(note({ at: at - 1 }))).toHaveLength(1);
    expect(found(note(), [])).toHaveLength(1);
    expect(found(note(), [{ ...grant, token: 13 }])).toHaveLength(1);
    expect(found(note({ party: "three" }))).toHaveLength(1);
    // The enforcer was killed between its answer and its record.
    expect(found(note(), [], [at + 2])).toEqual([]);
    expect(found(note(), [], [at - 2])).toHaveLength(1);
  });
});

describe("a schedule of revocations", () => {
  const drawn = Array.from({ length: 500 }, (_, i) => drawSchedule(i + 1));

  it("is the same for the same seed, and every way, victim and kind comes among 500", () => {
    expect(drawSchedule(77)).toEqual(drawSchedule(77));
    expect(new Set(drawn.map(({ way }) => way)).size).toBe(9);
    expect(new Set(drawn.map(({ blow }) => blow?.victim)).size).toBe(5);
    expect(drawn.some(({ blow }) => blow?.how === "freeze")).toBe(true);
    expect(drawn.some(({ lacking }) => lacking !== undefined)).toBe(true);
    expect(drawn.filter(({ stop }) => stop).length).toBeGreaterThan(100);
  });

  it("takes the permission away, but for the harmless ones", () => {
    for (const one of drawn) {
      const taking: Party[] = one.asked.filter((party) => party !== one.lacking);
      const computing: readonly Party[] = one.archetype === "through" ? [HUB] : taking;
      const ledger = new Ledger();
      const parties = [...new Set<Party>([...taking, ...computing])];
      const user = `u${one.seed}@fault`;
      ledger.follow([
        {
          key: "/archetypes/through",
          value: { name: "through", computeProvider: "other", weight: 1 },
          revision: 1,
        },
        {
          key: "/archetypes/local",
          value: { name: "local", computeProvider: "dataProvider", weight: 2 },
          revision: 2,
        },
        { key: "/requestTypes/relay", value: TYPES[0], revision: 3 },
        ...parties.map((party, i) => ({
          key: `/policyEnforcer/agreements/${party}`,
          value: agreementAtFirst(party, one),
          revision: 4 + i,
        })),
        {
          key: "/jobs/j",
          value: {
            ...{ job: "j", user, requestType: "relay", archetype: one.archetype },
            ...{ dataProviders: taking, computeProviders: computing },
          },
          revision: 20,
        },
        { key: "/rounds/j/1", value: { job: "j", round: 1, agreements: {}, openedAt }, revision: 21 },
        { key: `/policyEnforcer/agreements/${one.leaver}`, value: agreementAfter(one), revision: 22 },
        { key: "/rounds/j/2", value: { job: "j", round: 2, agreements: {}, openedAt }, revision: 23 },
      ]);
      const allowed = [...ledger.rounds.values()].map((r) => r.allowed);
      expect(allowed, `seed ${one.seed}`).toEqual([true, one.way === "harmless"]);
    }
  });
});

/** The marketplace of the schedules. */
import type { Agreement, Archetype, Microservice, RequestType } from "../../../policy/contract/documents.js";
import { HUB, type Party, type Schedule } from "./schedule.js";

export const ARCHETYPES: readonly Archetype[] = [
  { name: "through", computeProvider: "other", resultRecipient: "requestor", weight: 1 },
  { name: "local", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 2 },
];
const probe = (name: string, label: Microservice["label"], to: string): Microservice => ({
  name,
  label,
  allowedOutputs: [to],
  invalidArchetypes: [],
  entry: "microservices/probe.mts",
});
export const SERVICES: readonly Microservice[] = [
  probe("holder", "dataProvider", "probe"),
  probe("probe", "aggregate", "holder"),
];
export const TYPES: readonly RequestType[] = [
  {
    name: "relay",
    persistence: "job",
    requiredServices: ["holder", "probe"],
    workflow: {
      rounds: "rounds",
      steps: [
        { name: "give", service: "holder", role: "dataProvider" },
        { name: "pass", service: "probe", role: "computeProvider", inputs: [{ step: "give" }] },
        { name: "back", service: "holder", role: "dataProvider", inputs: [{ step: "pass" }] },
      ],
      result: "pass",
    },
  },
  { name: "other", requiredServices: ["probe"] },
];

export const userOf = ({ seed }: Schedule): string => `u${seed}@fault`;

/** Agreements as the schedule finds them. */
export function agreementAtFirst(party: Party, schedule: Schedule): Agreement {
  const rights = {
    ID: "1",
    requestTypes: ["relay"],
    persistence: "job" as const,
    allowedArchetypes: [schedule.archetype],
    allowedComputeProviders: party === HUB ? [] : [HUB],
  };
  const takesPart = party === HUB || (schedule.asked.includes(party) && party !== schedule.lacking);
  return {
    name: party,
    archetypes: ["through", "local"],
    computeProviders: [HUB],
    relations: takesPart ? { [userOf(schedule)]: rights } : {},
    ...(schedule.stop && party === schedule.leaver ? { onRevocation: "stop" } : {}),
  };
}

/** What the leaver's agreement becomes; `undefined`: it is taken away. */
export function agreementAfter(schedule: Schedule): unknown {
  const before = agreementAtFirst(schedule.leaver, schedule);
  const user = userOf(schedule);
  const change = (more: object): unknown => ({
    ...before,
    relations: { [user]: { ...before.relations[user], ...more } },
  });
  switch (schedule.way) {
    case "leave":
    case "blink":
      return { ...before, relations: {} };
    case "requestType":
      return change({ requestTypes: ["other"] });
    case "archetype":
      return change({ allowedArchetypes: [schedule.archetype === "local" ? "through" : "local"] });
    case "computeProvider":
      return change({ allowedComputeProviders: [] });
    case "expire":
      return change({ notAfter: "2020-01-01T00:00:00Z" });
    case "garbage":
      return { name: schedule.leaver, relations: 7 };
    case "harmless":
      return change({ ID: "2" });
    case "delete":
      return undefined;
  }
}

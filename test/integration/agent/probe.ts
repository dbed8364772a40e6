import { join } from "node:path";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import { KEY } from "../../../policy/contract/names.js";
import { Market, type OpenRound, PROJECT, type StepAnswer, USER } from "./market.js";

/** A market whose request type has one step, done by the microservice in experiment/microservices/probe.mts. */
export async function openProbeMarket(): Promise<Market> {
  const market = await Market.open(join(PROJECT, "test/integration/agent/experiment"));
  await market.store.put(KEY.requestType("probe"), {
    name: "probe",
    requiredServices: ["probe", "other", "outside", "missing", "barred"],
    workflow: {
      steps: [
        { name: "work", service: "probe", role: "dataProvider" },
        { name: "elsewhere", service: "other", role: "dataProvider" },
        { name: "escape", service: "outside", role: "dataProvider" },
        { name: "nowhere", service: "missing", role: "dataProvider" },
        { name: "forbidden", service: "barred", role: "dataProvider" },
        { name: "compute", service: "probe", role: "computeProvider" },
      ],
      result: "work",
    },
  });
  const services = {
    probe: "microservices/probe.mts",
    other: "microservices/probe.mts",
    outside: "../market.ts",
    missing: "microservices/none.mts",
    barred: "microservices/probe.mts",
  };
  for (const [name, entry] of Object.entries(services)) {
    const invalidArchetypes = name === "barred" ? ["trainThroughClients"] : [];
    await market.store.put(KEY.microservice(name), {
      name,
      label: "dataProvider",
      allowedOutputs: [],
      invalidArchetypes,
      entry,
    });
  }
  return market;
}

export const agreement = (name: string, note = "") => ({
  name,
  note,
  relations: {
    [USER.userName]: {
      ID: USER.id,
      requestTypes: ["probe"],
      allowedArchetypes: ["trainThroughClients"],
      allowedComputeProviders: [name],
    },
  },
  computeProviders: [name],
  archetypes: ["trainThroughClients"],
});

export const claimsOf = (
  agent: string,
): Pick<GrantClaims, "requestType" | "dataProviders" | "computeProviders"> => ({
  requestType: "probe",
  dataProviders: [agent],
  computeProviders: [agent],
});

/** One step of the probe. */
export function work(
  market: Market,
  agent: string,
  open: OpenRound,
  request: Record<string, unknown> = {},
  more: { correlationId?: string; service?: string; step?: string } = {},
): Promise<StepAnswer> {
  return market.step(agent, open, { step: "work", service: "probe", requestType: "probe", request, ...more });
}

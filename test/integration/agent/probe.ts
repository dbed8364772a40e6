import { join } from "node:path";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import { KEY } from "../../../policy/contract/names.js";
import { Market, type OpenRound, PROJECT, type Report, type TicketSpec, USER } from "./market.js";

/**
 * A market whose steps are all done by the microservice in experiment/microservices/probe.mts. Request type `probe` has steps of one agent alone;
 * in `relay` data providers give, a compute provider passes on what they gave, and they get it back.
 */
export async function openProbeMarket(): Promise<Market> {
  const market = await Market.open(join(PROJECT, "test/integration/agent/experiment"));
  await market.store.put(KEY.requestType("probe"), {
    name: "probe",
    persistence: "job",
    requiredServices: ["probe", "other", "outside", "missing", "barred"],
    workflow: {
      steps: [
        { name: "work", service: "probe", role: "dataProvider" },
        { name: "elsewhere", service: "other", role: "dataProvider" },
        { name: "escape", service: "outside", role: "dataProvider" },
        { name: "nowhere", service: "missing", role: "dataProvider" },
        { name: "forbidden", service: "barred", role: "dataProvider" },
        { name: "compute", service: "probe", role: "computeProvider" },
        { name: "flaky", service: "probe", role: "dataProvider", retries: 2 },
        { name: "brief", service: "probe", role: "dataProvider", seconds: 1 },
      ],
      result: "work",
    },
  });
  await market.store.put(KEY.requestType("relay"), {
    name: "relay",
    persistence: "job",
    requiredServices: ["probe"],
    workflow: {
      steps: [
        { name: "give", service: "probe", role: "dataProvider" },
        { name: "pass", service: "probe", role: "computeProvider", inputs: [{ step: "give" }] },
        { name: "back", service: "probe", role: "dataProvider", inputs: [{ step: "pass" }] },
      ],
      result: "pass",
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
      allowedOutputs: ["probe"],
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
      persistence: "job",
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

/** Claims of a round of `relay`. */
export const relayOf = (givers: readonly string[], passer: string) => ({
  requestType: "relay",
  dataProviders: givers,
  computeProviders: [passer],
});

/** A round's ticket with one step of the probe. */
export function work(
  market: Market,
  agent: string,
  open: OpenRound,
  request: Record<string, unknown> = {},
  more: { correlationId?: string; service?: string; step?: string } = {},
): Promise<Report> {
  const { step = "work", service = "probe", ...rest } = more;
  return market.ticket(agent, open, { steps: [{ step, service }], requestType: "probe", request, ...rest });
}

/** A round's ticket with steps of the relay. */
export const relay = (
  steps: readonly string[],
  request: Record<string, unknown> = {},
  correlationId?: string,
): TicketSpec => ({
  steps: steps.map((step) => ({ step, service: "probe" })),
  requestType: "relay",
  request,
  ...(correlationId === undefined ? {} : { correlationId }),
});

// Puts an experiment's documents through the orchestrator's API, as the program's resources do.
import { fetch } from "undici";
import type { ExperimentDocument } from "../../dynamos/experiment.js";
import type { Market } from "./market.js";

const PLACE = {
  archetype: "archetypes",
  dataset: "datasets",
  microservice: "microservices",
  requestType: "requestTypes",
  agreement: "policyEnforcer/agreements",
} as const;

export async function putDocuments(market: Market, documents: readonly ExperimentDocument[]): Promise<void> {
  for (const [kind, place] of Object.entries(PLACE)) {
    for (const document of documents.filter((d) => d.kind === kind)) {
      const response = await fetch(`${market.orchestrator}/api/v1/${place}/${document.name}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${market.operatorToken}`, "content-type": "application/json" },
        body: JSON.stringify(document.value),
      });
      if (!response.ok)
        throw new Error(`${kind} ${document.name}: HTTP ${response.status} ${await response.text()}`);
    }
  }
}

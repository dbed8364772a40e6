import { InfraError } from "../../infra/problem.js";
import { STORE_SETUP } from "../../policy/setup/store-user.js";
import type { ExperimentDocument } from "../experiment.js";
import { OPERATOR_TOKEN, ORCHESTRATOR } from "../services.js";
import { storeSecret } from "../store-rights.js";
import { label } from "./names.js";
import type { KubeObject } from "./objects.js";
import { FILES, hostOf, type Place, portOf, SECRETS } from "./place.js";
import { setupJob } from "./setup-job.js";
import { storeEndpoint } from "./store-plan.js";
import { metadataOf, secretObject } from "./workload.js";

/** The key of a document in its ConfigMap: kind and name. */
export const DOCUMENT_KEY = /^(agreement|archetype|requestType|microservice|dataset)\.(.+)\.json$/;

/** What a ConfigMap may hold, less its own words. */
const MOST_BYTES = 1_000_000;

/**
 * An experiment's documents, and the Job that brings them into the running marketplace. A ConfigMap a document, so that a preview names the one that
 * changed; the Job ends once all are in force.
 *
 * @throws InfraError K8S-DOCUMENT-SIZE
 */
export function documentObjects(
  documents: readonly ExperimentDocument[],
  place: Place,
): readonly KubeObject[] {
  if (documents.length === 0) return [];
  const maps = documents.map((document) => documentMap(document, place));
  const setup = storeSecret(STORE_SETUP);
  return [
    ...maps,
    secretObject(setup, place),
    setupJob(
      {
        task: "documents",
        hashed: maps.map(({ metadata, data }) => [metadata.name, data]),
        env: {
          ORCHESTRATOR_URL: `http://${hostOf(ORCHESTRATOR, place)}:${portOf("http")}`,
          OPERATOR_TOKEN_FILE: `${SECRETS}/${OPERATOR_TOKEN}`,
          STORE_ENDPOINT: storeEndpoint(place),
          STORE_PASSWORD_FILE: `${SECRETS}/${setup}`,
          DOCUMENTS_FOLDER: FILES,
        },
        files: maps.map(({ metadata: { name } }) => ({ configMap: { name } })),
        secrets: [OPERATOR_TOKEN, setup],
      },
      place,
    ),
  ];
}

function documentMap({ kind, name, file, value, revision }: ExperimentDocument, place: Place) {
  const text = `${JSON.stringify({ kind, name, ...(revision === undefined ? {} : { replaces: revision }), document: value }, null, 2)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MOST_BYTES)
    throw new InfraError({
      code: "K8S-DOCUMENT-SIZE",
      file,
      message: `${kind} ${name} has ${bytes} bytes; a cluster takes ${MOST_BYTES} in one document`,
      remedy: "make it smaller",
    });
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: metadataOf(label(`${kind.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}-${name}`), place),
    data: { [`${kind}.${name}.json`]: text },
  } as const;
}

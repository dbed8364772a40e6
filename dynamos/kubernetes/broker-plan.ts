import { contentHash } from "../../infra/content-hash.js";
import type { ServiceSpec } from "../../infra/local/service.js";
import { BROKER_ADMIN, brokerDefinitions, brokerSecret, partyRights } from "../broker-definitions.js";
import { agentService } from "../placement.js";
import { BROKER, coreServices } from "../services.js";
import { needsOf } from "./needs.js";
import type { KubeObject } from "./objects.js";
import { FILES, hostOf, type Place, portOf, SECRETS } from "./place.js";
import { containerOf, fileKey, filesName, imageOf, labelsOf, podOf, projected, secretSource } from "./pod.js";
import { metadataOf, secretObject, serviceObjects } from "./workload.js";

const DEFINITIONS = "definitions.json";
const SETUP = "broker-users";
/** The broker's management interface listens a moment after the broker does. */
const SETUP_SECONDS = 120;

/** One of the core's services as this machine has it. */
export function coreService(name: string): ServiceSpec {
  const found = coreServices({ placement: { core: "core", agents: [] } }).find((spec) => spec.name === name);
  if (found === undefined) throw new RangeError(`the core has no service ${name}`);
  return found;
}

/**
 * The broker, and the Job that tells a running one who its users are. A broker that starts knows them all by its definitions; an agent that
 * comes or goes changes the definitions, and a new Job puts them into the broker that runs.
 */
export function brokerObjects(parties: readonly string[], place: Place): readonly KubeObject[] {
  const spec = brokerSpec(parties);
  return [
    ...serviceObjects(spec, place),
    secretObject(brokerSecret(BROKER_ADMIN), place),
    usersJob(spec, parties, place),
  ];
}

function brokerSpec(parties: readonly string[]): ServiceSpec {
  const spec = coreService(BROKER);
  const rights = [...parties].sort().flatMap((party) => partyRights(agentService(party), party));
  return {
    ...spec,
    // Erlang's cookie must be closed to its group, which a kept folder is not.
    env: { ...spec.env, HOME: "/tmp" },
    files: (spec.files ?? []).map((file) =>
      file.path === DEFINITIONS ? { path: DEFINITIONS, content: brokerDefinitions(rights) } : file,
    ),
    // Erlang starts its port mapper itself, and a container's end ends it.
    needs: [],
  };
}

function usersJob(spec: ServiceSpec, parties: readonly string[], place: Place): KubeObject {
  const { container, digest } = imageOf("setup", place);
  const labels = { ...labelsOf(place), type: "core", app: SETUP };
  const admin = brokerSecret(BROKER_ADMIN);
  const hash = contentHash([[...parties].sort(), spec.files, digest]).slice(0, 10);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { ...metadataOf(`${SETUP}-${hash}`, place), labels },
    spec: {
      backoffLimit: 3,
      activeDeadlineSeconds: SETUP_SECONDS,
      template: {
        metadata: { labels, annotations: { "dynamos-fabric/image": digest } },
        spec: podOf(place, {
          restartPolicy: "Never",
          containers: [
            containerOf({
              name: SETUP,
              ...container,
              env: [
                {
                  name: "BROKER_URL",
                  value: `http://${hostOf(BROKER, place)}:${portOf("management")}`,
                },
                { name: "BROKER_ADMIN", value: BROKER_ADMIN },
                { name: "BROKER_ADMIN_PASSWORD_FILE", value: `${SECRETS}/${admin}` },
                { name: "DEFINITIONS_FILE", value: `${FILES}/${DEFINITIONS}` },
              ],
              resources: needsOf("setup").resources,
              volumeMounts: [
                { name: "tmp", mountPath: "/tmp" },
                { name: "files", mountPath: FILES, readOnly: true },
                { name: "secrets", mountPath: SECRETS, readOnly: true },
              ],
            }),
          ],
          volumes: [
            { name: "tmp", emptyDir: {} },
            projected("files", [
              {
                secret: { name: filesName(spec), items: [{ key: fileKey(DEFINITIONS), path: DEFINITIONS }] },
              },
            ]),
            projected("secrets", [secretSource(admin)]),
          ],
        }),
      },
    },
  };
}

/** The store. */
export const storeObjects = (place: Place): readonly KubeObject[] =>
  serviceObjects(coreService("store"), place);

import type { ServiceSpec } from "../../infra/local/service.js";
import { BROKER_ADMIN, brokerDefinitions, brokerSecret, partyRights } from "../broker-definitions.js";
import { agentService } from "../placement.js";
import { BROKER, coreServices } from "../services.js";
import type { KubeObject } from "./objects.js";
import { FILES, hostOf, type Place, portOf, SECRETS } from "./place.js";
import { fileKey, filesName } from "./pod.js";
import { setupJob } from "./setup-job.js";
import { secretObject, serviceObjects } from "./workload.js";

const DEFINITIONS = "definitions.json";

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
  const admin = brokerSecret(BROKER_ADMIN);
  return setupJob(
    {
      task: "broker-users",
      hashed: [[...parties].sort(), spec.files],
      env: {
        BROKER_URL: `http://${hostOf(BROKER, place)}:${portOf("management")}`,
        BROKER_ADMIN,
        BROKER_ADMIN_PASSWORD_FILE: `${SECRETS}/${admin}`,
        DEFINITIONS_FILE: `${FILES}/${DEFINITIONS}`,
      },
      files: [
        { secret: { name: filesName(spec), items: [{ key: fileKey(DEFINITIONS), path: DEFINITIONS }] } },
      ],
      secrets: [admin],
    },
    place,
  );
}

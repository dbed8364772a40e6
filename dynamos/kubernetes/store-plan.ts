import { STORE_ROOT, type StoreRights } from "../../policy/setup/store-user.js";
import { keyFile, passwordFile, RIGHTS_FILE } from "../../policy/setup/store-users.js";
import { agentServiceSpec, coreServices, STORE } from "../services.js";
import { agentKeySecret, setupRights, storeRightsOf, storeSecret } from "../store-rights.js";
import { coreService } from "./broker-plan.js";
import type { KubeObject } from "./objects.js";
import { FILES, hostOf, type Place, portOf, SECRETS } from "./place.js";
import { setupJob } from "./setup-job.js";
import { metadataOf, secretObject, serviceObjects } from "./workload.js";

const USERS = "store-users";

/**
 * The store, and the Job that tells it who its users are, with their rights and the public keys of agents: before any service asks it for something,
 * and again whenever parties come or go.
 */
export function storeObjects(parties: readonly string[], place: Place): readonly KubeObject[] {
  const users = usersOf(parties);
  const root = storeSecret(STORE_ROOT);
  const metadata = metadataOf(USERS, place);
  return [
    ...serviceObjects(coreService(STORE), place),
    secretObject(root, place),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata,
      data: { [RIGHTS_FILE]: `${JSON.stringify(users, null, 1)}\n` },
    },
    { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", stringData: textsOf(users) },
    setupJob(
      {
        task: USERS,
        hashed: users,
        env: {
          STORE_ENDPOINT: storeEndpoint(place),
          STORE_ROOT_PASSWORD_FILE: `${SECRETS}/${root}`,
          USERS_FOLDER: FILES,
        },
        files: [{ configMap: { name: USERS } }, { secret: { name: USERS } }],
        secrets: [root],
      },
      place,
    ),
  ];
}

/** `host:port` of the store. */
export const storeEndpoint = (place: Place): string => `${hostOf(STORE, place)}:${portOf("client")}`;

/** Everybody who uses the store of a cluster, and for what. */
function usersOf(parties: readonly string[]): readonly StoreRights[] {
  const agents = [...parties]
    .sort()
    .map((party) => agentServiceSpec({ party, node: "core", role: "agent" }, "."));
  const services = [...coreServices({ placement: { core: "core", agents: [] } }), ...agents];
  return [...services.flatMap((spec) => storeRightsOf(spec) ?? []), setupRights()];
}

const textsOf = (users: readonly StoreRights[]): Record<string, string> =>
  Object.fromEntries(
    users.flatMap(({ user, party }) => [
      [passwordFile(user), `{{secret:${storeSecret(user)}}}`],
      ...(party === undefined ? [] : [[keyFile(user), `{{agentKey:${agentKeySecret(user)}}}`]]),
    ]),
  );

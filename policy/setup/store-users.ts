import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentKey } from "../contract/agent-key.js";
import { answering } from "./patience.js";
import { StoreAdmin } from "./store-admin.js";
import type { StoreRights, StoreSecrets } from "./store-user.js";

/** A user of the store, as a deployment wants it. */
export interface WantedUser {
  readonly rights: StoreRights;
  readonly secrets: StoreSecrets;
}

/** What was done, for the log. */
export interface UsersDone {
  readonly put: readonly string[];
  readonly removed: readonly string[];
}

/** The file of all users' rights in a folder of users. Beside it lie each user's password and an agent's public key. */
export const RIGHTS_FILE = "rights.json";
export const passwordFile = (user: string): string => `${user}.password`;
export const keyFile = (user: string): string => `${user}.key`;

/** Reads a folder of users, as a cluster mounts it. */
export function readUsers(folder: string): readonly WantedUser[] {
  const text = (file: string): string => readFileSync(join(folder, file), "utf8");
  const all = JSON.parse(text(RIGHTS_FILE)) as readonly StoreRights[];
  return all.map((rights) => ({
    rights,
    secrets: {
      password: text(passwordFile(rights.user)),
      ...(rights.party === undefined
        ? {}
        : { publicKey: JSON.parse(text(keyFile(rights.user))) as AgentKey }),
    },
  }));
}

/**
 * Makes the users of a running store what they should be: these, with these rights, and no agent beside them. The first time it has the store ask
 * everybody who they are. Users that are right already are not touched, so that nobody's session ends.
 *
 * @param endpoint `host:port` of etcd
 * @throws CodedError `STO-ADMIN-UNREACHABLE` when it does not answer in time, `STO-ADMIN` when it refuses
 */
export async function applyStoreUsers(
  { endpoint, password, patienceMs }: { readonly endpoint: string; readonly password: string; readonly patienceMs?: number }, // biome-ignore format: one line
  users: readonly WantedUser[],
): Promise<UsersDone> {
  const admin = new StoreAdmin(endpoint, password);
  await answering(() => admin.enable(), patienceMs);
  const put: string[] = [];
  for (const { rights, secrets } of users) {
    if (await admin.has(rights, secrets)) continue;
    await admin.put(rights, secrets);
    put.push(rights.user);
  }
  return { put, removed: await admin.removeOtherAgents(users.map(({ rights }) => rights)) };
}

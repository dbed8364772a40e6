import type { ServiceSpec } from "../infra/local/service.js";
import { agentKeyPair } from "../policy/contract/agent-key.js";
import { AUDIT_KEY } from "../policy/contract/audit.js";
import { KEY } from "../policy/contract/names.js";
import {
  STORE_SETUP,
  type StoreRange,
  type StoreRights,
  type StoreSecrets,
} from "../policy/setup/store-user.js";

/** The user of this machine's operator: reads everything, and writes nothing that a service heeds. */
export const STORE_READER = "reader";
/** Below it the experiment's checker writes a key of its own, to know how far it has read. */
export const FENCE_PREFIX = "/experiment/";

/** The name of the secret that holds a store user's password. */
export const storeSecret = (user: string): string => `store-${user}`;

/** The name of the secret that an agent's key follows from. */
export const agentKeySecret = (user: string): string => `key-${user}`;

const below = (right: StoreRange["right"], ...keys: readonly string[]): StoreRange[] =>
  keys.map((key) => ({ key, prefix: true, right }));
const one = (right: StoreRange["right"], ...keys: readonly string[]): StoreRange[] =>
  keys.map((key) => ({ key, prefix: false, right }));

/** Who writes what: the documents' API the agreements, the enforcer the rounds and the keys that grants are signed with. */
const CORE: Readonly<Record<string, readonly StoreRange[]>> = {
  orchestrator: [
    ...below("write", KEY.agreementPrefix, KEY.archetypePrefix, KEY.requestTypePrefix),
    ...below("write", KEY.datasetPrefix, KEY.microservicePrefix, KEY.jobPrefix, KEY.endedPrefix),
    // Everything: an agreement's history is read with that of all keys, whose newest revision says that it is whole.
    ...below("read", KEY.root),
  ],
  "policy-enforcer": [
    ...below("write", KEY.roundsPrefix, KEY.grantKeyPrefix, AUDIT_KEY.prefix),
    ...below("read", KEY.agreementPrefix, KEY.archetypePrefix, KEY.requestTypePrefix, KEY.datasetPrefix),
  ],
  "api-gateway": below("read", KEY.onlinePrefix, KEY.requestTypePrefix, KEY.jobPrefix, KEY.roundsPrefix),
};

/** An agent: its presence and its jobs' records, its own agreement, and what it needs to verify and to plan a round. */
const agent = (party: string): readonly StoreRange[] => [
  ...one("write", KEY.online(party)),
  ...below("write", KEY.agentJobPrefix(party)),
  ...one("read", KEY.agreement(party)),
  ...below("read", KEY.onlinePrefix, KEY.grantKeyPrefix, KEY.requestTypePrefix, KEY.microservicePrefix),
  ...below("read", KEY.endedPrefix, KEY.agentKeyPrefix, KEY.archetypePrefix, KEY.datasetPrefix),
];

/** The least that a service needs at the store; undefined for one that does not use it. */
export function storeRightsOf({ env = {} }: Pick<ServiceSpec, "env">): StoreRights | undefined {
  const { ETCD_USER: user, AGENT_NAME: party } = env;
  if (user === undefined) return undefined;
  const ranges = party === undefined ? CORE[user] : agent(party);
  if (ranges === undefined) throw new RangeError(`no rights at the store are known for ${user}`);
  return { user, ...(party === undefined ? {} : { party }), ranges: [...one("read", KEY.root), ...ranges] };
}

export const readerRights = (): StoreRights => ({
  user: STORE_READER,
  ranges: [...below("read", KEY.root), ...below("write", FENCE_PREFIX)],
});

export const setupRights = (): StoreRights => ({
  user: STORE_SETUP,
  ranges: [...one("read", KEY.root), ...below("write", KEY.deployedPrefix)],
});

/** Reads a user's secrets, which are made on first use. */
export function secretsOf(
  { user, party }: StoreRights,
  folder: { secret(name: string): string },
): StoreSecrets {
  const password = folder.secret(storeSecret(user));
  if (party === undefined) return { password };
  return { password, publicKey: agentKeyPair(folder.secret(agentKeySecret(user))).publicKey };
}

/** Keys of agents, published as `up` does it. */
import { agentKeyPair } from "../../policy/contract/agent-key.js";
import { KEY } from "../../policy/contract/names.js";
import { Store } from "../../policy/platform/store.js";

/** For the file that AGENT_KEY_FILE names. */
export const agentSecret = (party: string): string => `the secret of ${party}`;

export async function publishAgentKeys(endpoint: string, parties: readonly string[]): Promise<void> {
  const store = await Store.connect({ endpoint });
  for (const party of parties)
    await store.put(KEY.agentKey(party), agentKeyPair(agentSecret(party)).publicKey);
  await store.close();
}

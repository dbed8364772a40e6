import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { AUDIT_KEY, type AuditKey, type Checkpoint, checkpointText } from "../contract/audit.js";
import type { ChainEnd } from "../contract/audit-segment.js";
import type { Store } from "../platform/store.js";

/** What of the store an audit needs. */
export type AuditStore = Pick<Store, "put" | "list">;

/** Signs checkpoints and puts them into the store. Its key lives in this process's memory, and signs nothing else. */
export class CheckpointSigner {
  readonly key: AuditKey;
  readonly enforcer: string;
  readonly #private: KeyObject;

  constructor(enforcer: string) {
    const pair = generateKeyPairSync("ed25519");
    const x = pair.publicKey.export({ format: "jwk" }).x ?? "";
    const kid = createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest("base64url");
    this.key = { kty: "OKP", crv: "Ed25519", x, kid };
    this.enforcer = enforcer;
    this.#private = pair.privateKey;
  }

  /** Makes the public key known, for good: it must outlive this process. */
  async publish(store: AuditStore): Promise<void> {
    await store.put(AUDIT_KEY.key(this.enforcer, this.key.kid), this.key);
  }

  sign(chain: string, { segment, seq, hash }: ChainEnd, time: string): Checkpoint {
    const content = { enforcer: this.enforcer, chain, segment, seq, hash, time, kid: this.key.kid };
    return {
      ...content,
      signature: sign(null, checkpointText(content), this.#private).toString("base64url"),
    };
  }

  async put(store: AuditStore, checkpoint: Checkpoint): Promise<void> {
    await store.put(
      AUDIT_KEY.checkpoint(checkpoint.enforcer, checkpoint.chain, checkpoint.segment),
      checkpoint,
    );
  }

  /** What the store has of a chain. */
  async of(store: AuditStore, chain: string): Promise<readonly Checkpoint[]> {
    const { entries } = await store.list<Checkpoint>(AUDIT_KEY.checkpointPrefix(this.enforcer, chain));
    return entries.map((e) => e.value);
  }
}

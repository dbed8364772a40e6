import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { type AgentKey, agentKeyPair } from "../contract/agent-key.js";
import { KEY } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { Mirror } from "../platform/store.js";

/** Whose work an answer is, and by what right. */
export interface HandOver {
  readonly job: string;
  readonly round: number;
  readonly step: string;
  readonly grant: string;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/**
 * Tells two agents that what one hands over to the other is the sender's. Their keys agree on a secret that no third one can know (X25519); each
 * hand-over bears a code (AES-GCM over the body, encrypting nothing) under a key of its own, which follows from that secret and from all that the
 * hand-over is: job, round, step, sender, receiver, grant. Hundredths of a millisecond also for 100 KB, where signatures take tenths (decision 11).
 */
export class Senders {
  readonly #agent: string;
  readonly #privateKey: KeyObject;
  readonly #keys: Pick<Mirror<AgentKey>, "get">;
  readonly #shared = new Map<string, { readonly x: string; readonly secret: Buffer }>();

  /**
   * @param secret - of this agent alone; its public key follows from it
   * @param keys - the public keys of all agents
   */
  constructor(agent: string, secret: string, keys: Pick<Mirror<AgentKey>, "get">) {
    this.#agent = agent;
    this.#privateKey = agentKeyPair(secret).privateKey;
    this.#keys = keys;
  }

  /** @throws CodedError `AGT-SENDER-KEY` when the other agent's key is not known */
  sign(to: string, work: HandOver, body: Uint8Array): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key(to, this.#agent, to, work), nonce);
    cipher.setAAD(body, { plaintextLength: 0 }).final();
    return Buffer.concat([nonce, cipher.getAuthTag()]).toString("base64url");
  }

  /** @throws CodedError `AGT-SENDER` when it is not this agent's word, or not this; `AGT-SENDER-KEY` */
  verify(from: string, work: HandOver, body: Uint8Array, code: string): void {
    const bytes = Buffer.from(code, "base64url");
    if (bytes.length !== NONCE_BYTES + TAG_BYTES) throw forged(from, work, "it bears no code of its sender");
    const key = this.#key(from, from, this.#agent, work);
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(body, { plaintextLength: 0 }).setAuthTag(bytes.subarray(NONCE_BYTES));
    try {
      decipher.final();
    } catch {
      throw forged(from, work, `it is not what ${from} said, or not ${from} said it`);
    }
  }

  #key(peer: string, from: string, to: string, { job, round, step, grant }: HandOver): Buffer {
    return createHmac("sha256", this.#secretWith(peer))
      .update(JSON.stringify([job, round, step, from, to, grant]))
      .digest();
  }

  #secretWith(peer: string): Buffer {
    const x = this.#keys.get(KEY.agentKey(peer))?.value.x;
    const known = this.#shared.get(peer);
    if (known !== undefined && known.x === x) return known.secret;
    if (x === undefined) throw noKey(peer, "is not in the store");
    const secret = this.#agree(peer, x);
    this.#shared.set(peer, { x, secret });
    return secret;
  }

  #agree(peer: string, x: string): Buffer {
    try {
      const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
      const shared = diffieHellman({ privateKey: this.#privateKey, publicKey });
      return Buffer.from(hkdfSync("sha256", shared, "", "dynamos-fabric hand-over", 32));
    } catch (error) {
      throw noKey(peer, "is no X25519 key", error);
    }
  }
}

function forged(from: string, { step, job, round }: HandOver, why: string): CodedError {
  return new CodedError({
    code: "AGT-SENDER",
    path: `${step}/${from}`,
    message: `the answer to ${step} in round ${round} of ${job} was not taken as ${from}'s: ${why}`,
    remedy: "hand over in one's own name, with the key that `up` gave this agent",
  });
}

function noKey(peer: string, what: string, cause?: unknown): CodedError {
  return new CodedError(
    {
      code: "AGT-SENDER-KEY",
      path: KEY.agentKey(peer),
      message: `the public key of ${peer} ${what}`,
      remedy: "run `up`, which puts each agent's public key there",
    },
    { cause },
  );
}

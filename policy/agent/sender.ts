import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  type DecipherGCM,
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
  /** Name of the file that is handed over. Absent: the answer itself. */
  readonly file?: string;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";
/** What {@link Senders.seal} puts around a file. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

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
    finish(decipher, from, work);
  }

  /**
   * A file as it is handed over: nonce, the file's bytes as they come, and at the end the code over them. Nothing is held back.
   *
   * @throws CodedError `AGT-SENDER-KEY`
   */
  async *seal(to: string, work: HandOver, bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key(to, this.#agent, to, work), nonce);
    yield nonce;
    for await (const chunk of bytes) {
      cipher.setAAD(chunk, { plaintextLength: 0 });
      yield chunk;
    }
    cipher.final();
    yield cipher.getAuthTag();
  }

  /**
   * The bytes of a file that {@link seal} made, as they come: whose they are is known at the end only, so nobody may look at them before.
   *
   * @param size - of the file, in bytes
   * @throws CodedError `AGT-SENDER`, `AGT-SENDER-KEY`; `AGT-FILE-BROKEN` when there are fewer or more bytes
   */
  async *unseal(
    from: string,
    work: HandOver,
    size: number,
    sealed: AsyncIterable<Buffer>,
  ): AsyncGenerator<Buffer> {
    const key = this.#key(from, from, this.#agent, work);
    const nonce = Buffer.alloc(NONCE_BYTES);
    const tag = Buffer.alloc(TAG_BYTES);
    let decipher: DecipherGCM | undefined;
    let at = 0;
    for await (const chunk of sealed) {
      const rest = chunk.subarray(copyInto(nonce, at, chunk));
      if (at < NONCE_BYTES && at + chunk.length >= NONCE_BYTES)
        decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
      at += chunk.length;
      const past = Math.max(0, at - NONCE_BYTES - size);
      const own = rest.subarray(0, Math.max(0, rest.length - past));
      if (past > TAG_BYTES) throw broken(from, work, `it has more than ${size} bytes`);
      if (own.length > 0) {
        decipher?.setAAD(own, { plaintextLength: 0 });
        yield own;
      }
      const ofTag = rest.subarray(own.length);
      ofTag.copy(tag, past - ofTag.length);
    }
    if (at !== size + SEAL_BYTES || decipher === undefined)
      throw broken(from, work, `it ended before its ${size} bytes`);
    decipher.setAuthTag(tag);
    finish(decipher, from, work);
  }

  #key(peer: string, from: string, to: string, { job, round, step, grant, file }: HandOver): Buffer {
    return createHmac("sha256", this.#secretWith(peer))
      .update(JSON.stringify([job, round, step, from, to, grant, ...(file === undefined ? [] : [file])]))
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

/** Fills what a chunk that begins at `at` has of the first bytes. Returns how many of the chunk these are. */
function copyInto(first: Buffer, at: number, chunk: Buffer): number {
  return at >= first.length ? 0 : chunk.copy(first, at);
}

function finish(decipher: DecipherGCM, from: string, work: HandOver): void {
  try {
    decipher.final();
  } catch {
    throw forged(from, work, `it is not what ${from} said, or not ${from} said it`);
  }
}

function broken(from: string, { step, file }: HandOver, why: string): CodedError {
  return new CodedError({
    code: "AGT-FILE-BROKEN",
    path: `${step}/${from}/${file}`,
    message: `file ${file} of ${from}'s answer to ${step} was not taken: ${why}`,
    remedy: `look at the log of agent ${from}`,
  });
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

import { setTimeout as sleep } from "node:timers/promises";
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import * as pb from "../contract/generated/etcd.js";
import { CodedError } from "../contract/problem.js";

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(input: Uint8Array): T;
}

/** One gRPC method: what it is asked and what it answers. */
export interface Method<Q, A> {
  readonly path: string;
  readonly request: Codec<Q>;
  readonly answer: Codec<A>;
}

function method<Q, A>(name: string, request: Codec<Q>, answer: Codec<A>): Method<Q, A> {
  return { path: `/etcdserverpb.${name}`, request, answer };
}

/** etcd's methods that we call. */
export const ETCD = {
  range: method("KV/Range", pb.RangeRequest, pb.RangeResponse),
  put: method("KV/Put", pb.PutRequest, pb.PutResponse),
  deleteRange: method("KV/DeleteRange", pb.DeleteRangeRequest, pb.DeleteRangeResponse),
  txn: method("KV/Txn", pb.TxnRequest, pb.TxnResponse),
  leaseGrant: method("Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse),
  leaseRevoke: method("Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse),
  leaseKeepAlive: method("Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse),
  watch: method("Watch/Watch", pb.WatchRequest, pb.WatchResponse),
  authenticate: method("Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse),
} as const;

const CALL_TIMEOUT_MS = 5_000;
/** How long a call is tried again while the store is away, e.g. in a restart. */
const RETRY_MS = 10_000;
const RETRY_PAUSE_MS = { least: 50, most: 500 };

const NOBODY = new Metadata();

// etcd gives all of these the same status, or another in each release, so its words tell them apart.
const NO_USER = /user name is empty/;
const BAD_LOGIN = /authentication failed|authentication is not enabled/;
const OLD_RIGHTS = /revision (of auth store|in header) is old/;

/** Whether a call would be taken with a new token. */
function isStale(error: unknown): boolean {
  const { code, details = "" } = error as Partial<ServiceError>;
  return code === status.UNAUTHENTICATED || OLD_RIGHTS.test(details) || NO_USER.test(details);
}

/** Who calls. */
export interface Login {
  readonly user: string;
  readonly password: string;
}

/**
 * etcd's gRPC API: unary calls that live through a restart of the store, and raw streams. With a login every call bears a token, which etcd forgets
 * when it restarts and five minutes after its last use: then a new one is got.
 */
export class EtcdClient {
  readonly endpoint: string;
  readonly #client: Client;
  readonly #login: Login | undefined;
  #session: Promise<Metadata> | undefined;
  #closed = false;

  constructor(endpoint: string, login?: Login) {
    this.endpoint = endpoint;
    this.#login = login;
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      // gRPC's own pauses go up to two minutes; a store beside us is back within seconds.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      // Notices a store that vanished without a word. etcd refuses pings more often than each 5 s.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      // A watch that catches up may get many documents in one message; etcd bounds what it sends.
      "grpc.max_receive_message_length": -1,
      // One subchannel pool a client: closing this client must not disturb another in the process.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Calls, again and again for 10 s while the store is unavailable.
   *
   * @param options - `onRetry` is told before each further attempt: an earlier one may have reached the store
   * @throws {@link CodedError} `STO-UNREACHABLE`, `STO-TIMEOUT`, `STO-COMPACTED`, `STO-LOGIN`, `STO-DENIED`, `STO-FAILED`
   */
  async call<Q, A>(
    method: Method<Q, A>,
    request: Q,
    options: { readonly retryMs?: number; readonly onRetry?: () => void } = {},
  ): Promise<A> {
    const deadline = performance.now() + (options.retryMs ?? RETRY_MS);
    for (let pause = RETRY_PAUSE_MS.least; ; ) {
      const session = this.#metadata();
      try {
        return await this.#once(method, request, await session);
      } catch (error) {
        const late = this.#closed || performance.now() + pause > deadline;
        // Each change of the store's users makes all tokens old. Refused before anything was done, so this attempt does not count.
        if (this.#login !== undefined && isStale(error) && !late) {
          if (this.#session === session) this.#session = undefined;
          continue;
        }
        if (late || (error as ServiceError).code !== status.UNAVAILABLE) throw this.problem(error);
        options.onRetry?.();
        await sleep(pause);
        pause = Math.min(2 * pause, RETRY_PAUSE_MS.most);
      }
    }
  }

  /** @throws as {@link call}: the login may fail */
  async stream<Q, A>(method: Method<Q, A>): Promise<ClientDuplexStream<Q, A>> {
    return this.#client.makeBidiStreamRequest(
      method.path,
      serializer(method.request),
      method.answer.decode,
      await this.#metadata(),
      {},
    );
  }

  /** Forgets the token, which etcd does not know any more. */
  logInAgain(): void {
    this.#session = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  /** What a failed call means to a person. */
  problem(error: unknown): CodedError {
    if (error instanceof CodedError) return error;
    const { code, details } = error as Partial<ServiceError>;
    const text = details ?? (error instanceof Error ? error.message : String(error));
    const make = (name: string, message: string, remedy: string) =>
      new CodedError({ code: name, path: this.endpoint, message, remedy }, { cause: error });
    if (this.#closed)
      return make("STO-CLOSED", "this service is closing its connection to the store", "none is needed");
    if (code === status.UNAVAILABLE)
      return make(
        "STO-UNREACHABLE",
        `no store at ${this.endpoint}`,
        "start the store, or correct ETCD_ENDPOINT",
      );
    if (code === status.DEADLINE_EXCEEDED)
      return make(
        "STO-TIMEOUT",
        `the store did not answer within ${CALL_TIMEOUT_MS / 1000} s`,
        "look at the store's log; is its disk slow or full?",
      );
    if (code === status.PERMISSION_DENIED)
      return make(
        "STO-DENIED",
        `the store does not let ${this.#login?.user ?? "nobody"} do that (${text})`,
        "run `up`, which gives each service its rights",
      );
    if (NO_USER.test(text))
      return make(
        "STO-DENIED",
        "the store does nothing for callers without a user",
        "set ETCD_USER and ETCD_PASSWORD_FILE",
      );
    if (BAD_LOGIN.test(text))
      return make(
        "STO-LOGIN",
        `the store does not take ${this.#login?.user ?? "nobody"} as a user (${text})`,
        "run `up`, which makes the store's users",
      );
    if (code === status.OUT_OF_RANGE)
      return make("STO-COMPACTED", `that history is compacted away (${text})`, "read from a later revision");
    return make("STO-FAILED", `the store refused a call (${text})`, "look at the store's log");
  }

  #metadata(): Promise<Metadata> {
    if (this.#login === undefined) return Promise.resolve(NOBODY);
    if (this.#session !== undefined) return this.#session;
    const { user, password } = this.#login;
    const session = this.#once(ETCD.authenticate, { name: user, password }, NOBODY).then(({ token }) => {
      const metadata = new Metadata();
      metadata.set("token", token);
      return metadata;
    });
    this.#session = session;
    // Not kept: the next call tries again. Told to who asked.
    session.catch(() => {
      if (this.#session === session) this.#session = undefined;
    });
    return session;
  }

  #once<Q, A>(method: Method<Q, A>, request: Q, metadata: Metadata): Promise<A> {
    const options: CallOptions = { deadline: Date.now() + CALL_TIMEOUT_MS };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        serializer(method.request),
        method.answer.decode,
        request,
        metadata,
        options,
        (error, answer) => {
          if (error !== null) reject(error);
          else if (answer === undefined) reject(new Error("an empty answer"));
          else resolve(answer);
        },
      );
    });
  }
}

const serializers = new WeakMap<object, (message: never) => Buffer>();

function serializer<T>(codec: Codec<T>): (message: T) => Buffer {
  const known = serializers.get(codec);
  if (known !== undefined) return known as (message: T) => Buffer;
  const made = (message: T): Buffer => {
    const bytes = codec.encode(message).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  serializers.set(codec, made);
  return made;
}

/** The end of the range of all keys with this prefix, as etcd wants it: the prefix with its last byte increased. */
export function rangeEnd(prefix: string): Buffer {
  const bytes = Buffer.from(prefix);
  for (let i = bytes.length - 1; i >= 0; i -= 1) {
    const byte = bytes[i] ?? 0xff;
    if (byte < 0xff) {
      bytes[i] = byte + 1;
      return bytes.subarray(0, i + 1);
    }
  }
  return Buffer.from([0]); // every key
}

export function utf8(text: string): Buffer {
  return Buffer.from(text, "utf8");
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

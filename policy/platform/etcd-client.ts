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
} as const;

const CALL_TIMEOUT_MS = 5_000;
/** How long a call is tried again while the store is away, e.g. in a restart. */
const RETRY_MS = 10_000;
const RETRY_PAUSE_MS = { least: 50, most: 500 };

const METADATA = new Metadata();

/** etcd's gRPC API: unary calls that live through a restart of the store, and raw streams. */
export class EtcdClient {
  readonly endpoint: string;
  readonly #client: Client;
  #closed = false;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
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
   * @throws {@link CodedError} `STO-UNREACHABLE`, `STO-TIMEOUT`, `STO-COMPACTED`, `STO-FAILED`
   */
  async call<Q, A>(
    method: Method<Q, A>,
    request: Q,
    options: { readonly retryMs?: number; readonly onRetry?: () => void } = {},
  ): Promise<A> {
    const deadline = performance.now() + (options.retryMs ?? RETRY_MS);
    for (let pause = RETRY_PAUSE_MS.least; ; pause = Math.min(2 * pause, RETRY_PAUSE_MS.most)) {
      try {
        return await this.#once(method, request);
      } catch (error) {
        const again = (error as ServiceError).code === status.UNAVAILABLE && !this.#closed;
        if (!again || performance.now() + pause > deadline) throw this.problem(error);
        options.onRetry?.();
        await sleep(pause);
      }
    }
  }

  stream<Q, A>(method: Method<Q, A>): ClientDuplexStream<Q, A> {
    return this.#client.makeBidiStreamRequest(
      method.path,
      serializer(method.request),
      method.answer.decode,
      METADATA,
      {},
    );
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
    if (code === status.OUT_OF_RANGE)
      return make("STO-COMPACTED", `that history is compacted away (${text})`, "read from a later revision");
    return make("STO-FAILED", `the store refused a call (${text})`, "look at the store's log");
  }

  #once<Q, A>(method: Method<Q, A>, request: Q): Promise<A> {
    const options: CallOptions = { deadline: Date.now() + CALL_TIMEOUT_MS };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        serializer(method.request),
        method.answer.decode,
        request,
        METADATA,
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

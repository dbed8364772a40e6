import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { Event, WatchRequest, WatchResponse } from "../contract/generated/etcd.js";
import { CodedError } from "../contract/problem.js";
import { ETCD, type EtcdClient } from "./etcd-client.js";

/**
 * Watches one range of keys from a revision (inclusive) until the signal, the stream's end, or an error. Events come in etcd's order,
 * those of one revision together.
 *
 * @throws {@link CodedError} `STO-COMPACTED` when the revision is compacted away, `STO-REWOUND` when the store has not come so far; gRPC's error when the stream breaks
 */
export async function watchFrom(
  client: EtcdClient,
  range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
  revision: number,
  signal: AbortSignal,
  onEvents: (events: readonly Event[]) => void,
): Promise<void> {
  if (signal.aborted) return;
  const stream: ClientDuplexStream<WatchRequest, WatchResponse> = await client.stream(ETCD.watch);
  await new Promise<void>((resolve, reject) => {
    const end = (error?: unknown) => {
      signal.removeEventListener("abort", abort);
      stream.cancel();
      if (error === undefined) resolve();
      else reject(error);
    };
    const abort = () => end();
    signal.addEventListener("abort", abort);
    stream.on("error", end); // also after cancel, where the promise is settled and nothing happens
    stream.on("end", () => end());
    stream.on("data", (answer: WatchResponse) => {
      if (signal.aborted) return;
      try {
        if (answer.created && answer.canceled) return end(denied(client, answer));
        if (answer.created && (answer.header?.revision ?? 0) < revision - 1)
          return end(rewound(client, revision));
        if (answer.events.length > 0) onEvents(answer.events);
        if (answer.canceled) end(cancelled(client, answer));
      } catch (error) {
        end(error);
      }
    });
    if (signal.aborted) return abort();
    stream.write({ createRequest: { ...range, startRevision: revision, progressNotify: false } });
  });
}

/** etcd says the same of a right that is not there and of a token that it has forgotten. */
function denied(client: EtcdClient, { cancelReason }: WatchResponse): CodedError {
  client.logInAgain();
  return new CodedError({
    code: "STO-DENIED",
    path: client.endpoint,
    message: `the store refused a watch (${cancelReason})`,
    remedy: "run `up`, which gives each service its rights",
  });
}

function rewound(client: EtcdClient, revision: number): CodedError {
  return new CodedError({
    code: "STO-REWOUND",
    path: client.endpoint,
    message: `the store is behind revision ${revision - 1}, which it had before`,
    remedy: "was an older backup restored?",
  });
}

function cancelled(client: EtcdClient, answer: WatchResponse): CodedError {
  if (answer.compactRevision > 0) {
    return new CodedError({
      code: "STO-COMPACTED",
      path: client.endpoint,
      message: `the store's history before revision ${answer.compactRevision} is compacted away`,
      remedy: "read from a later revision",
    });
  }
  return new CodedError({
    code: "STO-FAILED",
    path: client.endpoint,
    message: `the store ended a watch (${answer.cancelReason})`,
    remedy: "look at the store's log",
  });
}

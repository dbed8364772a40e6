import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  CompositionRequest,
  MicroserviceCommunication,
  PolicyUpdate,
  Request,
  RequestApproval,
  RequestApprovalResponse,
  ValidationResponse,
} from "./generated/dynamos.js";
import type { Any } from "./generated/google/protobuf/any.js";
import { MESSAGE, type MessageType } from "./names.js";
import { type PartViews, packViews } from "./parts.js";
import { CodedError } from "./problem.js";

export type {
  Auth,
  CompositionRequest,
  DataProvider,
  MicroserviceCommunication,
  PolicyUpdate,
  Reason,
  Request,
  RequestApproval,
  RequestApprovalResponse,
  RequestMetadata,
  User,
  ValidationResponse,
} from "./generated/dynamos.js";

/** What each AMQP `type` carries. */
export interface Messages {
  requestApproval: RequestApproval;
  validationResponse: ValidationResponse;
  requestApprovalResponse: RequestApprovalResponse;
  compositionRequest: CompositionRequest;
  request: Request;
  policyUpdate: PolicyUpdate;
  microserviceCommunication: MicroserviceCommunication;
}

/** A message of which only the fields that matter are given; the others get protobuf's defaults. */
export type Draft<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer U)[]
    ? readonly Draft<U>[]
    : T extends object
      ? { readonly [K in keyof T]?: Draft<T[K]> }
      : T;

interface Codec<T> {
  encode(message: T, writer: BinaryWriter): BinaryWriter;
  decode(body: Uint8Array): T;
  fromPartial(draft: never): T;
}

const CODECS: { readonly [K in MessageType]: Codec<Messages[K]> } = {
  requestApproval: RequestApproval,
  validationResponse: ValidationResponse,
  requestApprovalResponse: RequestApprovalResponse,
  compositionRequest: CompositionRequest,
  request: Request,
  policyUpdate: PolicyUpdate,
  microserviceCommunication: MicroserviceCommunication,
};

function encoder<K extends MessageType>(type: K): (draft: Draft<Messages[K]>) => Uint8Array {
  const codec: Codec<Messages[K]> = CODECS[type];
  return (draft) => {
    const message = codec.fromPartial(draft as never);
    const writer = kept ?? new BinaryWriter();
    kept = undefined; // also where this throws: what is half written is nobody's
    const bytes = codec.encode(message, writer).finish();
    if (bytes.length <= MOST_KEPT) kept = writer;
    return bytes;
  };
}

/** A writer whose buffer has grown: to let it grow for each message costs more than to write the message. */
let kept: BinaryWriter | undefined;
/** Bytes of a message after which its writer is not kept: a large one is rare, and its buffer would stay. */
const MOST_KEPT = 64 * 1024;

/** A message's bytes: `encode.requestApproval({ type, user, dataProviders })`. */
export const encode: { readonly [K in MessageType]: (draft: Draft<Messages[K]>) => Uint8Array } = {
  requestApproval: encoder("requestApproval"),
  validationResponse: encoder("validationResponse"),
  requestApprovalResponse: encoder("requestApprovalResponse"),
  compositionRequest: encoder("compositionRequest"),
  request: encoder("request"),
  policyUpdate: encoder("policyUpdate"),
  microserviceCommunication: encoder("microserviceCommunication"),
};

/**
 * A message from its bytes.
 *
 * @throws {@link CodedError} `BUS-MALFORMED` when the bytes are not such a message
 */
export function decode<K extends MessageType>(type: K, body: Uint8Array): Messages[K] {
  const codec: Codec<Messages[K]> = CODECS[type];
  try {
    return codec.decode(body);
  } catch (error) {
    throw malformed(type, error);
  }
}

/** The message's type from its AMQP `type`. DYNAMOS's sidecars send `request` as `Request`. `undefined`: none of ours. */
export function messageType(type: string): MessageType | undefined {
  if (type === "Request") return MESSAGE.request;
  return Object.hasOwn(CODECS, type) ? (type as MessageType) : undefined;
}

/** Of field 8 (`result`), length-delimited. */
const RESULT_TAG = (8 << 3) | 2;

/**
 * A `microserviceCommunication` whose parts are handed on as they lie in other messages, copied once. Protobuf's fields may come in any order,
 * so `result` is written behind all the others.
 *
 * @param draft - without `result`
 * @throws {@link CodedError} `JOB-PARTS` when there are too many or too large parts
 */
export function encodeWithParts(
  draft: Draft<Omit<MicroserviceCommunication, "result">>,
  parts: PartViews,
): Uint8Array {
  return packViews(encode.microserviceCommunication(draft), parts, (length) => {
    const prefix = [RESULT_TAG];
    let rest = length;
    for (; rest > 0x7f; rest >>>= 7) prefix.push((rest & 0x7f) | 0x80);
    return Uint8Array.from([...prefix, rest]);
  });
}

const REQUEST_URL = "type.googleapis.com/dynamos.Request";

/** A data request as it travels inside a `microserviceCommunication`. */
export function packRequest(request: Draft<Request>): Any {
  return { typeUrl: REQUEST_URL, value: encode.request(request) };
}

/**
 * The data request inside a `microserviceCommunication`.
 *
 * @throws {@link CodedError} `BUS-MALFORMED` when there is none
 */
export function unpackRequest(any: Any | undefined): Request {
  if (any === undefined || !any.typeUrl.endsWith("/dynamos.Request"))
    throw malformed("original_request", new Error(`type_url is ${any?.typeUrl ?? "absent"}`));
  return decode("request", any.value);
}

function malformed(type: string, cause: unknown): CodedError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new CodedError(
    {
      code: "BUS-MALFORMED",
      path: type,
      message: `the bytes are no ${type} (${text})`,
      remedy: "does the sender speak the same protocol version?",
    },
    { cause },
  );
}

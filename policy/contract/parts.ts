import { CodedError } from "./problem.js";

/**
 * Named binary parts in one byte string: what a `microserviceCommunication` carries in `result`. Little-endian:
 *
 * `"DFP1"`, count u32, then for each part: kind u8 (0 bytes, 1 float64), name length u8, payload length u32, name (UTF-8), payload.
 *
 * No part at all is the empty string, so a message without parts costs nothing.
 */
export type Part = Uint8Array | Float64Array;
export type Parts = Readonly<Record<string, Part>>;

/** Most parts in one message, and most bytes of all of them: a broker holds whole messages in memory. */
export const PART_LIMITS = { count: 4_096, nameBytes: 255, bytes: 64 * 1024 * 1024 } as const;

const MAGIC = 0x31504644; // "DFP1" read as a little-endian u32
const HEADER = 8;
const PART_HEADER = 6;
const KIND = { bytes: 0, float64: 1 } as const;
const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** @throws {@link CodedError} `JOB-PARTS` when a limit is passed or a name is empty */
export function packParts(parts: Parts): Uint8Array {
  const entries = Object.entries(parts).map(([name, part]) => ({
    name: encoder.encode(name),
    part,
    label: name,
  }));
  if (entries.length === 0) return new Uint8Array(0);
  let size = HEADER;
  for (const { name, part, label } of entries) {
    checkName(name, label);
    size += PART_HEADER + name.length + part.byteLength;
  }
  checkSize(entries.length, size);

  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, entries.length, true);
  let at = HEADER;
  for (const { name, part } of entries) {
    const float = part instanceof Float64Array;
    view.setUint8(at, float ? KIND.float64 : KIND.bytes);
    view.setUint8(at + 1, name.length);
    view.setUint32(at + 2, part.byteLength, true);
    bytes.set(name, at + PART_HEADER);
    at += PART_HEADER + name.length;
    if (float) writeFloat64(part, bytes, view, at);
    else bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/**
 * The parts of a byte string; float64 parts are copies, byte parts are views.
 *
 * @throws {@link CodedError} `BUS-MALFORMED` for anything that {@link packParts} did not make
 */
export function unpackParts(bytes: Uint8Array): Parts {
  const parts = nothing<Part>();
  for (const [name, { kind, payload }] of Object.entries(viewParts(bytes)))
    parts[name] = readPart(kind, payload);
  return parts;
}

/** A part as it lies in a message, for those who hand it on without looking at it. */
export interface PartView {
  readonly kind: number;
  /** Not a copy. */
  readonly payload: Uint8Array;
}
export type PartViews = Readonly<Record<string, PartView>>;

/**
 * Where the parts of a byte string lie in it.
 *
 * @throws {@link CodedError} `BUS-MALFORMED` for anything that {@link packParts} did not make
 */
export function viewParts(bytes: Uint8Array): PartViews {
  const parts = nothing<PartView>();
  if (bytes.length === 0) return parts;
  if (bytes.length > PART_LIMITS.bytes) throw malformed(`${bytes.length} bytes`);
  if (bytes.length < HEADER) throw malformed("it ends too early");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw malformed("it does not begin with DFP1");
  const count = view.getUint32(4, true);
  if (count === 0 || count > PART_LIMITS.count) throw malformed(`${count} parts`);
  let at = HEADER;
  for (let i = 0; i < count; i += 1) {
    if (at + PART_HEADER > bytes.length) throw malformed("it ends too early");
    const kind = view.getUint8(at);
    const nameLength = view.getUint8(at + 1);
    const length = view.getUint32(at + 2, true);
    at += PART_HEADER;
    if (nameLength === 0 || at + nameLength + length > bytes.length) throw malformed("it ends too early");
    const name = readName(bytes.subarray(at, at + nameLength));
    if (name in parts) throw malformed(`two parts named ${name}`);
    at += nameLength;
    parts[name] = { kind, payload: checkedPayload(kind, bytes.subarray(at, at + length)) };
    at += length;
  }
  if (at !== bytes.length) throw malformed("bytes are left over");
  return parts;
}

/**
 * What {@link packParts} would make of these parts, written behind `head` and a length prefix of its own: one allocation and one copy,
 * however large the parts are.
 *
 * @param head - written first
 * @param prefix - makes what comes between, of the packed parts' length; nothing follows it when there is no part
 * @throws {@link CodedError} `JOB-PARTS` when a limit is passed or a name is empty
 */
export function packViews(
  head: Uint8Array,
  parts: PartViews,
  prefix: (length: number) => Uint8Array,
): Uint8Array {
  const entries = Object.entries(parts).map(([name, part]) => ({
    name: encoder.encode(name),
    part,
    label: name,
  }));
  if (entries.length === 0) return head;
  let size = HEADER;
  for (const { name, part, label } of entries) {
    checkName(name, label);
    size += PART_HEADER + name.length + part.payload.length;
  }
  checkSize(entries.length, size);
  const between = prefix(size);
  const bytes = Buffer.allocUnsafe(head.length + between.length + size);
  bytes.set(head, 0);
  bytes.set(between, head.length);
  let at = head.length + between.length;
  bytes.writeUInt32LE(MAGIC, at);
  bytes.writeUInt32LE(entries.length, at + 4);
  at += HEADER;
  for (const { name, part } of entries) {
    bytes.writeUInt8(part.kind, at);
    bytes.writeUInt8(name.length, at + 1);
    bytes.writeUInt32LE(part.payload.length, at + 2);
    bytes.set(name, at + PART_HEADER);
    at += PART_HEADER + name.length;
    bytes.set(part.payload, at);
    at += part.payload.length;
  }
  return bytes;
}

/**
 * A part as numbers.
 *
 * @throws {@link CodedError} `JOB-PARTS` when it is absent or not float64
 */
export function float64Part(parts: Parts, name: string): Float64Array {
  const part = Object.hasOwn(parts, name) ? parts[name] : undefined;
  if (part instanceof Float64Array) return part;
  throw partsError(
    name,
    part === undefined
      ? `there is no part ${name} (there are: ${Object.keys(parts).join(", ") || "none"})`
      : `part ${name} is bytes, not numbers`,
  );
}

/** Numbers as little-endian bytes. */
export function float64ToBytes(values: ArrayLike<number>): Uint8Array {
  const array = values instanceof Float64Array ? values : Float64Array.from(values);
  const bytes = new Uint8Array(array.byteLength);
  writeFloat64(array, bytes, new DataView(bytes.buffer), 0);
  return bytes;
}

/** @throws {@link CodedError} `BUS-MALFORMED` when the length is no multiple of 8 */
export function bytesToFloat64(bytes: Uint8Array): Float64Array {
  if (bytes.length % 8 !== 0) throw malformed(`${bytes.length} bytes are no whole number of float64`);
  // Not bytes.slice(): of a Buffer, which a broker gives, that is no copy.
  if (LITTLE_ENDIAN) return new Float64Array(new Uint8Array(bytes).buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

function writeFloat64(values: Float64Array, bytes: Uint8Array, view: DataView, at: number): void {
  if (LITTLE_ENDIAN) bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
  else for (const [i, value] of values.entries()) view.setFloat64(at + 8 * i, value, true);
}

function readName(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw malformed("a part's name is not UTF-8");
  }
}

function checkedPayload(kind: number, payload: Uint8Array): Uint8Array {
  if (kind !== KIND.bytes && kind !== KIND.float64) throw malformed(`a part of kind ${kind}`);
  if (kind === KIND.float64 && payload.length % 8 !== 0)
    throw malformed(`${payload.length} bytes are no whole number of float64`);
  return payload;
}

/** No prototype: a part may be named like one of Object's own methods. */
function nothing<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function checkName(name: Uint8Array, label: string): void {
  if (name.length === 0 || name.length > PART_LIMITS.nameBytes)
    throw partsError(label, `a part's name has 1 to ${PART_LIMITS.nameBytes} bytes`);
}

function checkSize(count: number, bytes: number): void {
  if (count > PART_LIMITS.count) throw partsError("", `${count} parts; ${PART_LIMITS.count} is the most`);
  if (bytes > PART_LIMITS.bytes)
    throw partsError("", `${bytes} bytes of parts; ${PART_LIMITS.bytes} is the most`);
}

/** Of a payload that {@link checkedPayload} let through. */
function readPart(kind: number, bytes: Uint8Array): Part {
  return kind === KIND.float64 ? bytesToFloat64(bytes) : bytes;
}

function partsError(name: string, message: string): CodedError {
  return new CodedError({
    code: "JOB-PARTS",
    ...(name === "" ? {} : { path: name }),
    message,
    remedy: "correct what the microservice sends",
  });
}

function malformed(detail: string): CodedError {
  return new CodedError({
    code: "BUS-MALFORMED",
    path: "result",
    message: `the bytes are no packed parts (${detail})`,
    remedy: "does the sender speak the same protocol version?",
  });
}

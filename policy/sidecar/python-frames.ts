import { bytesToFloat64, float64ToBytes, PART_LIMITS } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";

/** What travels between the sidecar and a Python program: JSON, and the parts that it lists. */
export interface Frame {
  readonly header: Readonly<Record<string, unknown>>;
  readonly parts: Readonly<Record<string, Float64Array | Uint8Array>>;
}

const FLOAT64 = 1;
const LENGTH_BYTES = 4;
const MOST_HEADER_BYTES = PART_LIMITS.bytes;

/** A frame's bytes, in pieces: length (u32, little-endian), JSON, parts. */
export function encodeFrame({ header, parts }: Frame): readonly Uint8Array[] {
  const payloads = Object.entries(parts).map(([name, part]) => ({
    name,
    kind: part instanceof Float64Array ? FLOAT64 : 0,
    bytes: part instanceof Float64Array ? float64ToBytes(part) : part,
  }));
  const listed = payloads.map(({ name, kind, bytes }) => ({ name, kind, bytes: bytes.length }));
  const text = Buffer.from(JSON.stringify({ ...header, parts: listed }));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  return [length, text, ...payloads.map(({ bytes }) => bytes)];
}

/**
 * The frames of a stream, until it ends.
 *
 * @throws {@link CodedError} `JOB-GARBAGE` for what is no frame, and for one that is cut off
 */
export async function* readFrames(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame, void> {
  const bytes = new Bytes(stream);
  for (;;) {
    const head = await bytes.take(LENGTH_BYTES);
    if (head === undefined) return;
    const length = head.readUInt32LE();
    if (length > MOST_HEADER_BYTES) throw garbage(`${length} bytes of JSON`);
    const { listed, rest } = readHeader(await bytes.need(length));
    const parts: Record<string, Float64Array | Uint8Array> = Object.create(null);
    for (const { name, kind, size } of listed) {
      const content = await bytes.need(size);
      parts[name] = kind === FLOAT64 ? bytesToFloat64(content) : content;
    }
    yield { header: rest, parts };
  }
}

interface Listed {
  readonly name: string;
  readonly kind: number;
  readonly size: number;
}

function readHeader(text: Buffer): { readonly rest: Record<string, unknown>; readonly listed: Listed[] } {
  let read: unknown;
  try {
    read = JSON.parse(text.toString("utf8"));
  } catch {
    throw garbage("its JSON cannot be read");
  }
  if (typeof read !== "object" || read === null) throw garbage("its JSON is no object");
  const { parts = [], ...rest } = read as Record<string, unknown>;
  const listed = (Array.isArray(parts) ? parts : []).map(({ name, kind, bytes }): Listed => {
    if (typeof name !== "string" || !Number.isSafeInteger(bytes) || bytes < 0)
      throw garbage("a part has no size");
    return { name, kind, size: bytes };
  });
  const total = listed.reduce((sum, { size }) => sum + size, 0);
  if (total > PART_LIMITS.bytes)
    throw garbage(`${total} bytes of parts; ${PART_LIMITS.bytes} are the most, so give them as a file`);
  return { rest, listed };
}

/** A stream's bytes, so many at a time. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** `undefined`: the stream ended, with nothing before its end. */
  async take(count: number): Promise<Buffer | undefined> {
    const pieces = [this.#rest];
    let have = this.#rest.length;
    while (have < count) {
      const next = await this.#chunks.next();
      if (next.done === true) {
        if (have === 0) return undefined;
        throw garbage("it is cut off");
      }
      pieces.push(next.value);
      have += next.value.length;
    }
    const all = pieces.length === 1 ? this.#rest : Buffer.concat(pieces);
    this.#rest = all.subarray(count);
    return all.subarray(0, count);
  }

  async need(count: number): Promise<Buffer> {
    const bytes = count === 0 ? Buffer.alloc(0) : await this.take(count);
    if (bytes === undefined) throw garbage("it is cut off");
    return bytes;
  }
}

function garbage(why: string): CodedError {
  return new CodedError({
    code: "JOB-GARBAGE",
    message: `what the Python program said cannot be read: ${why}`,
    remedy: "let nothing but dynamos_fabric write to file descriptor 4",
  });
}

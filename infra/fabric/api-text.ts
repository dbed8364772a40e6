/** The text of an answer, no longer than expected: a server, or who is in its place, may send without end. */

/** @throws RangeError when it has more bytes than `limit`; whatever the connection throws */
export async function boundedText(body: AsyncIterable<Uint8Array> | null, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > limit) throw new RangeError(`longer than ${limit / 1024 / 1024} MB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * Seeded numbers, so that a training can be repeated to the last bit and checked by another program.
 *
 * The seed text is hashed with FNV-1a (32 bits, over its UTF-8 bytes) into the state of Marsaglia's xorshift32
 * (shifts 13, 17, 5; "Xorshift RNGs", 2003); the first 16 numbers are thrown away, because states that differ in
 * few bits start alike. A number is the state divided by 2^32, which a double holds exactly.
 */
export function seededRandom(seed: string): () => number {
  let state = fnv1a(seed) || 1; // xorshift never leaves zero
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 16; i += 1) next();
  return next;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

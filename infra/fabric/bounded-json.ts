/** JSON from outside, read only when it is not made to exhaust us: a short text can nest or count its way to gigabytes of objects. Pure. */

/** Most levels of objects and lists in each other, and most values in all. A slice of 4,000 nodes has some 300,000. */
export const jsonLimits = { depth: 64, values: 1_000_000 } as const;

export interface JsonLimits {
  readonly depth: number;
  readonly values: number;
}

/** The text is JSON perhaps, but not one that is read. */
export class JsonBeyondLimits extends Error {
  constructor(message: string) {
    super(message);
    this.name = "JsonBeyondLimits";
  }
}

/**
 * `JSON.parse` for a text from outside. Its time is linear in the text's length.
 *
 * @throws JsonBeyondLimits before anything is made of it; SyntaxError for what is no JSON
 */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): unknown {
  measure(text, limits);
  return JSON.parse(text);
}

const code = {
  quote: 0x22,
  comma: 0x2c,
  listOpen: 0x5b,
  backslash: 0x5c,
  listClose: 0x5d,
  open: 0x7b,
  close: 0x7d,
} as const;

function measure(text: string, { depth: mostDepth, values: mostValues }: JsonLimits): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case code.quote:
        at = endOfString(text, at);
        break;
      case code.open:
      case code.listOpen:
        depth++;
        values++;
        break;
      case code.close:
      case code.listClose:
        depth--;
        break;
      case code.comma:
        values++;
    }
    if (depth > mostDepth) throw new JsonBeyondLimits(`nested more than ${mostDepth} levels deep`);
    if (values > mostValues) throw new JsonBeyondLimits(`more than ${mostValues} values`);
  }
}

/** The place of the quote that ends the string that begins at `start`; the end of the text where none does. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at - 1;
    while (text.charCodeAt(before) === code.backslash) before--;
    if ((at - before) % 2 === 1) return at;
  }
  return text.length;
}

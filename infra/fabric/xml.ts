/**
 * XML as far as GraphML needs it: elements, attributes, text, CDATA, comments, the five entities of XML itself. Strict, in one pass, in time and memory
 * linear in the text: it comes from a server. No document type, so no entity can be declared: that is how XML bombs are made. Pure.
 *
 * Own code and not a library's: a general parser made a slice of 4,000 nodes fifteen times slower to read than to write, and its checks of form
 * are a second pass by other rules.
 */
export interface XmlElement {
  /** Without its prefix. */
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  /** Its own text, that of its children left out. */
  readonly text: string;
}

export interface XmlLimits {
  readonly elements: number;
  readonly depth: number;
}

export type XmlFault = "form" | "entity" | "limit";

/** What is wrong, and in which line. */
export class XmlError extends Error {
  constructor(
    readonly fault: XmlFault,
    message: string,
    /** From 1. */
    readonly line: number,
  ) {
    super(message);
    this.name = "XmlError";
  }
}

interface OpenElement {
  readonly name: string;
  readonly tag: string;
  readonly attributes: Record<string, string>;
  children: XmlElement[] | undefined;
  text: string;
}

/** Of one element. */
const mostAttributes = 100;
const none: readonly XmlElement[] = [];
const noAttributes: Readonly<Record<string, string>> = Object.freeze({});
const named = /[^\s<>/=&'"!?]+/y;
const attribute = /\s+([^\s<>/=&'"!?]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const endOfTag = /\s*(\/?)>/y;
const endTag = /\s*>/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const notXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/**
 * The root element of a document.
 *
 * @throws XmlError
 */
export function parseXml(source: string, limits: XmlLimits): XmlElement {
  const text = source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source;
  return new Reader(text, limits).read();
}

/** Whether XML can carry a character at all, even as a reference (XML 1.0 section 2.2). */
export function isXmlCharacter(code: number): boolean {
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd;
  return code <= 0xd7ff || (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
}

class Reader {
  readonly #text: string;
  readonly #limits: XmlLimits;
  readonly #open: OpenElement[] = [];
  #root: XmlElement | undefined;
  #elements = 0;
  #at = 0;

  constructor(text: string, limits: XmlLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  read(): XmlElement {
    const text = this.#text;
    const control = notXml.exec(text);
    if (control !== null) this.#fail("form", "a character that XML cannot carry", control.index);
    if (text.startsWith("\ufeff")) this.#at = 1;
    while (this.#at < text.length) {
      const next = text.indexOf("<", this.#at);
      const end = next < 0 ? text.length : next;
      if (end > this.#at) this.#characters(text.slice(this.#at, end));
      this.#at = end;
      if (next >= 0) this.#markup();
    }
    const unclosed = this.#open.at(-1);
    if (unclosed !== undefined) this.#fail("form", `<${unclosed.name}> is not closed`);
    return this.#root ?? this.#fail("form", "no root element");
  }

  #markup(): void {
    const text = this.#text;
    const second = text[this.#at + 1];
    if (second === "/") this.#close();
    else if (second === "?") this.#skip("<?", "?>");
    else if (second !== "!") this.#element();
    else if (text.startsWith("<!--", this.#at)) this.#skip("<!--", "-->");
    else if (text.startsWith("<![CDATA[", this.#at)) {
      const from = this.#at + "<![CDATA[".length;
      this.#skip("<![CDATA[", "]]>");
      const parent = this.#open.at(-1) ?? this.#fail("form", "text outside of the root element");
      parent.text += text.slice(from, this.#at - "]]>".length);
    } else this.#fail("entity", "a document type or an entity of its own");
  }

  #element(): void {
    if (this.#root !== undefined) this.#fail("form", "a second root element");
    if (++this.#elements > this.#limits.elements)
      this.#fail("limit", `more than ${this.#limits.elements} elements`);
    if (this.#open.length >= this.#limits.depth)
      this.#fail("limit", `elements nested more than ${this.#limits.depth} levels deep`);
    const start = this.#at;
    const name = this.#match(named, start + 1)?.[0] ?? this.#fail("form", "a < that begins no element");
    let attributes: Record<string, string> | undefined;
    let count = 0;
    for (
      let found = this.#match(attribute, this.#at);
      found !== null;
      found = this.#match(attribute, this.#at)
    ) {
      const [, key = "", double, single = ""] = found;
      attributes ??= {};
      if (++count > mostAttributes) this.#fail("limit", `more than ${mostAttributes} attributes`, start);
      if (Object.hasOwn(attributes, key)) this.#fail("form", `the attribute ${key} is there twice`, start);
      attributes[key] = this.#decode((double ?? single).replace(/[\t\n]/g, " "));
    }
    const end = this.#match(endOfTag, this.#at) ?? this.#fail("form", `<${name}> is not well formed`, start);
    const colon = name.indexOf(":");
    const tag = colon < 0 ? name : name.slice(colon + 1);
    this.#open.push({ name, tag, attributes: attributes ?? noAttributes, children: undefined, text: "" });
    if (end[1] === "/") this.#pop();
  }

  #close(): void {
    const start = this.#at;
    const name = this.#match(named, start + 2)?.[0];
    if (name === undefined || this.#match(endTag, this.#at) === null)
      this.#fail("form", "an end tag that is not well formed", start);
    const open = this.#open.at(-1);
    if (open?.name !== name) this.#fail("form", `</${name}> closes nothing`, start);
    this.#pop();
  }

  #pop(): void {
    const open = this.#open.pop();
    if (open === undefined) return;
    const { tag, attributes, children = none, text } = open;
    const element: XmlElement = { tag, attributes, children, text };
    const parent = this.#open.at(-1);
    if (parent === undefined) this.#root = element;
    else if (parent.children === undefined) parent.children = [element];
    else parent.children.push(element);
  }

  #characters(raw: string): void {
    const parent = this.#open.at(-1);
    if (parent !== undefined) {
      if (raw.includes("]]>")) this.#fail("form", "a ]]> outside of CDATA");
      parent.text += this.#decode(raw);
    } else if (/\S/.test(raw)) this.#fail("form", "text outside of the root element");
  }

  #skip(begin: string, end: string): void {
    const found = this.#text.indexOf(end, this.#at + begin.length);
    if (found < 0) this.#fail("form", `${begin} without ${end}`);
    this.#at = found + end.length;
  }

  #match(pattern: RegExp, at: number): RegExpExecArray | null {
    pattern.lastIndex = at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #decode(text: string): string {
    if (!text.includes("&")) return text;
    return text.replace(/&([^;&]{0,32});|&/g, (whole, name: string | undefined) => {
      if (name === undefined) this.#fail("form", "a bare & in the text");
      const known = predefined.get(name);
      if (known !== undefined) return known;
      const digits = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name);
      const code =
        digits === null
          ? -1
          : Number.parseInt(digits[1] ?? digits[2] ?? "", digits[1] === undefined ? 10 : 16);
      if (code >= 0 && isXmlCharacter(code)) return String.fromCodePoint(code);
      return this.#fail("entity", `${whole} is not an entity that XML predefines`);
    });
  }

  #fail(fault: XmlFault, message: string, at: number = this.#at): never {
    let line = 1;
    for (let i = this.#text.indexOf("\n"); i >= 0 && i < at; i = this.#text.indexOf("\n", i + 1)) line++;
    throw new XmlError(fault, message, line);
  }
}

const predefined: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

import { isDeepStrictEqual } from "node:util";

/** Values as the engine sends them to a plugin. Source of the marks: `@pulumi/pulumi/runtime/rpc` (`specialSigKey` and those after it). */
export type Properties = Readonly<Record<string, unknown>>;

export const signature = "4dabf18193072939515e22adb298388d";
export const secretMark = "1b47061264138c4ac30d75fd1eb44270";
const files = new Set<unknown>(["c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"]);

const remade = (value: unknown, change: (part: Properties) => unknown): unknown =>
  JSON.parse(JSON.stringify(value ?? null), (_key, part) => (part instanceof Object ? change(part) : part));

/** With its secrets in clear. */
export const revealed = (value: Properties): Properties =>
  remade(value, (part) => (part[signature] === secretMark ? part.value : part)) as Properties;

/** Assets and archives are the same if their content is, wherever it comes from. */
export function isSame(one: unknown, other: unknown): boolean {
  const byContent = (part: Properties) => (files.has(part[signature]) ? { hash: part.hash } : part);
  return isDeepStrictEqual(remade(one, byContent), remade(other, byContent));
}

/** A connection is a secret as a whole, but its addresses and names are needed to tell what went wrong. */
const neverShown = ["password", "privateKey", "privateKeyPassword"];

/** Takes secrets out of text for people: whole, and lines of 4 and words of 6 characters, as programs quote parts of what they run. */
export function masker(inputs: Properties): (text: string) => string {
  const parts: string[] = [];
  const collect = (value: unknown, isSecret: boolean): void => {
    if (typeof value === "string" && isSecret) {
      const lines = value.split("\n").filter((line) => line.trim().length >= 4);
      parts.push(value, ...lines, ...value.split(/[\s'"=:]+/).filter((word) => word.length >= 6));
    }
    if (!(value instanceof Object)) return;
    const marked = isSecret || (value as Properties)[signature] === secretMark;
    for (const [key, part] of Object.entries(value))
      collect(key === "connection" ? revealed(part) : part, marked || neverShown.includes(key));
  };
  collect(inputs, false);
  const longestFirst = parts.map((part) => part.trim()).sort((a, b) => b.length - a.length);
  return (text) =>
    longestFirst.filter(Boolean).reduce((left, part) => left.replaceAll(part, "[secret]"), text);
}

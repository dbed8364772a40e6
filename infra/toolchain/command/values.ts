import { isDeepStrictEqual } from "node:util";

/** Values as the engine sends them to a plugin. Source of the marks: `@pulumi/pulumi/runtime/rpc` (`specialSigKey` and those after it). */
export type Properties = Readonly<Record<string, unknown>>;

const signature = "4dabf18193072939515e22adb298388d";
const secretMark = "1b47061264138c4ac30d75fd1eb44270";
const fileMarks: readonly unknown[] = [
  "c44067f5952c0a294b673a41bacd8c17",
  "0def7320c3a5731c473e5ecbe6d01bc7",
];
/** Stands for a value that only the update will know. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export const secret = (value: unknown): unknown => ({ [signature]: secretMark, value });

const remade = (value: unknown, change: (part: Properties) => unknown): unknown =>
  JSON.parse(JSON.stringify(value ?? null), (_key, part) => (part instanceof Object ? change(part) : part));

/** With its secrets in clear. */
export const revealed = (value: Properties): Properties =>
  remade(value, (part) => (part[signature] === secretMark ? part.value : part)) as Properties;

/** Assets and archives are the same if their content is, wherever it comes from. */
export function isSame(one: unknown, other: unknown): boolean {
  const byContent = (part: Properties) => (fileMarks.includes(part[signature]) ? { hash: part.hash } : part);
  return isDeepStrictEqual(remade(one, byContent), remade(other, byContent));
}

/** A connection is a secret as a whole, but its addresses and names are needed to tell what went wrong. */
const neverShown = ["password", "privateKey", "privateKeyPassword"];

/**
 * Takes secrets out of text for people: whole, and of long ones (a key, a command with a password in it) also lines of at least 4 characters and
 * words of at least 6, as output is shown line by line and programs quote parts of their commands.
 */
export function masker(inputs: Properties): (text: string) => string {
  const parts = new Set<string>();
  const collect = (value: unknown, key: string, isSecret: boolean): void => {
    if (typeof value === "string" && (isSecret || neverShown.includes(key))) {
      const lines = value.split("\n").filter((line) => line.trim().length >= 4);
      for (const part of [value, ...lines, ...value.split(/[\s'"=:]+/).filter((word) => word.length >= 6)])
        parts.add(part.trim());
    } else if (value instanceof Object) {
      const marked = (value as Properties)[signature] === secretMark && key !== "connection";
      for (const [name, part] of Object.entries(value)) collect(part, name, isSecret || marked);
    }
  };
  collect(inputs, "", false);
  const longestFirst = [...parts].filter((part) => part !== "").sort((a, b) => b.length - a.length);
  if (longestFirst.length === 0) return (text) => text;
  const any = new RegExp(
    longestFirst.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"),
    "g",
  );
  return (text) => text.replaceAll(any, "[secret]");
}

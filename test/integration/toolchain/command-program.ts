import type { Args } from "./command-cases.js";

/** One resource of a test program. */
export interface Declared {
  readonly name: string;
  readonly type: string;
  readonly args: Args;
  readonly options?: Args;
}

/** A program that declares these resources and exports what they put out, by name. */
export function programOf(resources: readonly Declared[]): string {
  return `
const pulumi = require("@pulumi/pulumi");
const command = require("@pulumi/command");
const live = (value) => {
  if (Array.isArray(value)) return value.map(live);
  if (value === null || typeof value !== "object") return value;
  if ("$secret" in value) return pulumi.secret(value.$secret);
  if ("$text" in value) return new pulumi.asset.StringAsset(value.$text);
  if ("$file" in value) return new pulumi.asset.FileAsset(value.$file);
  if ("$folder" in value) return new pulumi.asset.FileArchive(value.$folder);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, live(part)]));
};
for (const { name, type, args, options } of ${JSON.stringify(resources)}) {
  const [module, kind] = type.split(".");
  const made = new command[module][kind](name, live(args), options);
  exports[name] = { stdout: made.stdout, stderr: made.stderr };
}`;
}

/** Puts values in for the words of the table: `{ $of: "HOST", ... }` and words in texts. */
export function filled(
  value: unknown,
  connections: Readonly<Record<string, object>>,
  words: Readonly<Record<string, string | number>>,
): unknown {
  const again = (part: unknown): unknown => filled(part, connections, words);
  if (typeof value === "string") {
    const whole = words[value];
    if (whole !== undefined) return whole;
    return Object.entries(words).reduce((text, [word, put]) => text.replaceAll(word, String(put)), value);
  }
  if (Array.isArray(value)) return value.map(again);
  if (typeof value !== "object" || value === null) return value;
  const { $of, ...others } = value as Record<string, unknown>;
  const mine = Object.fromEntries(Object.entries(others).map(([key, part]) => [key, again(part)]));
  return typeof $of === "string" ? { ...connections[$of], ...mine } : mine;
}

import { isDeepStrictEqual } from "node:util";
import type { Live } from "../../cluster/object.js";
import type { Kind } from "./kinds.js";

export type Way = "add" | "delete" | "update";
/** What differs, by path as the engine writes it: `spec.ports[0].port`, `metadata.labels["a/b"]`. */
export type Changes = ReadonlyMap<string, Way>;
type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => value instanceof Object && !Array.isArray(value);

/** Differences of two values, down to single leaves. */
export function changesOf(old: unknown, wanted: unknown, path = "", found = new Map<string, Way>()): Changes {
  const isList = Array.isArray(old) && Array.isArray(wanted);
  if (isDeepStrictEqual(old, wanted)) return found;
  if (!isList && !(isFields(old) && isFields(wanted)))
    return found.set(path, old === undefined ? "add" : wanted === undefined ? "delete" : "update");
  for (const key of Object.keys({ ...old, ...wanted })) {
    const step = isList ? `[${key}]` : /^\w[\w$-]*$/.test(key) ? `.${key}` : `["${key}"]`;
    changesOf((old as Fields)[key], (wanted as Fields)[key], `${path}${step}`.replace(/^\./, ""), found);
  }
  return found;
}

const isBelow = (path: string, above: string): boolean =>
  path === above || [".", "["].some((step) => path.startsWith(`${above}${step}`));

const notes = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/** What a server keeps of an object, without its own notes and the object's status. */
export function content({ status: _status, metadata, ...rest }: Live): Live {
  const kept = Object.entries(metadata).filter(([key]) => !notes.includes(key));
  return { ...rest, metadata: Object.fromEntries(kept) as unknown as Live["metadata"] };
}

const recoded = (values: unknown, to: (text: string) => string): Fields =>
  Object.fromEntries(Object.entries(values ?? {}).map(([key, text]) => [key, to(String(text))]));

/** A Secret's `stringData` as the server keeps it: in `data`. Other objects as they are. */
export function normal<T extends object>(object: T): T {
  const { stringData, ...rest } = object as Fields;
  if (rest.kind !== "Secret" || stringData === undefined) return object;
  const encoded = recoded(stringData, (text) => Buffer.from(text).toString("base64"));
  return { ...rest, data: { ...(rest.data as Fields), ...encoded } } as unknown as T;
}

/** Of a live object, what the inputs also have: what changed there shows as another input. A Secret keeps the form of its inputs. */
export function pruned(live: unknown, inputs: unknown): unknown {
  if (Array.isArray(live) && Array.isArray(inputs))
    return live.map((part, i) => (i in inputs ? pruned(part, inputs[i]) : part));
  if (!isFields(live) || !isFields(inputs)) return live;
  const texts = recoded(live.data, (text) => Buffer.from(text, "base64").toString("utf8"));
  const whole: Fields = inputs.kind === "Secret" ? { ...live, stringData: texts } : live;
  const kept = Object.keys(inputs).filter((key) => whole[key] !== undefined);
  return Object.fromEntries(kept.map((key) => [key, pruned(whole[key], inputs[key])]));
}

/** What the server says that it would make of the inputs. */
export interface Trial {
  /** As it is now. */
  readonly live: Live;
  /** As it would be. */
  readonly applied?: Live;
  /** Fields that it says cannot change: `spec`, `spec.selector`. */
  readonly immutable?: readonly string[];
}
export interface Difference {
  readonly changes: Changes;
  readonly replaces: readonly string[];
}
export interface Rules {
  /** ConfigMaps and Secrets are made anew with each content, unless the provider lets them change. */
  readonly isMutable: boolean;
  /** The resource's `ignoreChanges`. */
  readonly ignored: readonly string[];
}

/**
 * What an update would change. With a server's answer it is the server that knows: `1` and `1000m` are the same, and what others changed shows; without one
 * the inputs are compared.
 */
export function difference(kind: Kind, old: object, wanted: Fields, rules: Rules, trial?: Trial): Difference {
  const seen =
    trial?.applied === undefined
      ? changesOf(normal(old), normal(wanted))
      : changesOf(content(trial.live), content(trial.applied));
  const ignored = rules.ignored.map((path) => path.replaceAll(/\[["']([\w$-]+)["']\]/g, ".$1"));
  const all = [...seen].filter(([path]) => !ignored.some((one) => isBelow(path, one)));
  const isFree = rules.isMutable && wanted.immutable !== true;
  const fixed = [
    ...kind.replacedBy.filter((path) => !(isFree && /data$/i.test(path))),
    ...(trial?.immutable ?? []),
  ];
  const replaces = all.map(([path]) => path).filter((path) => fixed.some((one) => isBelow(path, one)));
  // The server may name a field that we did not change as such: a default that followed from one, say.
  if (replaces.length === 0 && trial?.immutable !== undefined) replaces.push(...all.map(([path]) => path));
  // By the names of the inputs.
  const shown = (path: string): string =>
    kind.kind === "Secret" && wanted.stringData !== undefined ? path.replace(/^data\b/, "stringData") : path;
  return { changes: new Map(all.map(([path, way]) => [shown(path), way])), replaces: replaces.map(shown) };
}

const fixedWords =
  /is immutable|updates to \S+ spec for fields|may not change once set|cannot change roleRef/;

/** The fields of a server's "no" that only a new object can have otherwise; undefined for another "no". Source: each kind's validation in kubernetes/pkg/apis. */
export function immutableFields(causes: readonly { readonly field?: string; readonly message?: string }[]) {
  if (causes.length === 0 || !causes.every(({ message = "" }) => fixedWords.test(message))) return undefined;
  return causes.flatMap(({ field = "" }) => (field === "" ? [] : [field]));
}

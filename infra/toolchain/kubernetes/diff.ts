import { isDeepStrictEqual } from "node:util";
import type { Kind, Live } from "./kinds.js";

export type Way = "add" | "delete" | "update";
/** What differs, by path as the engine writes it: `spec.ports[0].port`, `metadata.labels["a/b"]`. */
export type Changes = ReadonlyMap<string, Way>;
type Fields = Readonly<Record<string, unknown>>;

/** Differences of two values, down to single leaves. */
export function changesOf(old: unknown, wanted: unknown, path = "", found = new Map<string, Way>()): Changes {
  if (isDeepStrictEqual(old, wanted)) return found;
  const isList = Array.isArray(old) && Array.isArray(wanted);
  if (isList || (isFields(old) && isFields(wanted))) {
    for (const key of Object.keys({ ...old, ...wanted })) {
      const step = isList ? `[${key}]` : /^\w[\w$-]*$/.test(key) ? `.${key}` : `["${key}"]`;
      changesOf((old as Fields)[key], (wanted as Fields)[key], `${path}${step}`.replace(/^\./, ""), found);
    }
  } else found.set(path, old === undefined ? "add" : wanted === undefined ? "delete" : "update");
  return found;
}

const isFields = (value: unknown): value is Fields => value instanceof Object && !Array.isArray(value);

/** Whether a path is another, or below it. */
export const isBelow = (path: string, above: string): boolean =>
  path === above || [".", "["].some((step) => path.startsWith(`${above}${step}`));

const bookkeeping = [
  "managedFields",
  "resourceVersion",
  "generation",
  "uid",
  "creationTimestamp",
  "selfLink",
];

/** What a server keeps of an object, without its own notes and the object's status. */
export function content({ status: _status, metadata, ...rest }: Live): Fields {
  const kept = Object.entries(metadata).filter(([key]) => !bookkeeping.includes(key));
  return { ...rest, metadata: Object.fromEntries(kept) };
}

/** A Secret's `stringData` as the server keeps it: in `data`. Other objects as they are. */
export function normal<T extends Fields>(object: T): T {
  const { stringData, ...rest } = object;
  if (object.kind !== "Secret" || !isFields(stringData)) return object;
  const encoded = Object.entries(stringData).map(([key, text]) => [
    key,
    Buffer.from(String(text)).toString("base64"),
  ]);
  return { ...rest, data: { ...(rest.data as Fields), ...Object.fromEntries(encoded) } } as unknown as T;
}

/** Of a live object, what the inputs also have: what changed there shows as another input. A Secret keeps the form of its inputs. */
export function pruned(live: unknown, inputs: unknown): unknown {
  if (Array.isArray(live) && Array.isArray(inputs))
    return live.map((part, i) => (i in inputs ? pruned(part, inputs[i]) : part));
  if (!isFields(live) || !isFields(inputs)) return live;
  const texts = inputs.kind === "Secret" && isFields(inputs.stringData) ? inputs.stringData : {};
  const data = isFields(live.data) ? live.data : {};
  const whole = {
    ...live,
    ...(inputs.kind === "Secret" ? { stringData: decoded(data, texts) } : {}),
  } as Fields;
  const kept = Object.keys(inputs).filter((key) => whole[key] !== undefined);
  return Object.fromEntries(kept.map((key) => [key, pruned(whole[key], inputs[key])]));
}

const decoded = (data: Fields, texts: Fields): Fields =>
  Object.fromEntries(
    Object.keys(texts)
      .filter((key) => data[key] !== undefined)
      .map((key) => [key, Buffer.from(String(data[key]), "base64").toString("utf8")]),
  );

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
export function difference(
  kind: Kind,
  old: Fields,
  wanted: Fields,
  { isMutable, ignored }: Rules,
  trial?: Trial,
): Difference {
  const inputs = changesOf(normal(old), normal(wanted));
  const server =
    trial?.applied === undefined ? inputs : changesOf(content(trial.live), content(trial.applied));
  const isKept = ([path]: readonly [string, Way]): boolean =>
    !ignored.some((one) => isBelow(path, one.replaceAll(/\[["'](\w+)["']\]/g, ".$1")));
  const changes = new Map([...server].filter(isKept));
  const isData = ["ConfigMap", "Secret"].includes(kind.kind) && isMutable && wanted.immutable !== true;
  const fixed = isData ? kind.replacedBy.filter((path) => !/data$/i.test(path)) : kind.replacedBy;
  const replaces = [...changes.keys()].filter((path) => [...fixed, ...(trial?.immutable ?? [])].some((one) => isBelow(path, one))); // biome-ignore format: one line
  // The server names a field that we did not change as such: a default that followed from one, say.
  if (replaces.length === 0 && trial?.immutable !== undefined) replaces.push(...changes.keys());
  return { changes, replaces };
}

/** The fields of a server's "no" that only a new object can have otherwise. Source: apimachinery's `FieldImmutableErrorMsg`; StatefulSets say `updates to ...`. */
export function immutableFields(
  causes: readonly { readonly field?: string; readonly message?: string }[],
): readonly string[] | undefined {
  const isFixed = (message = ""): boolean =>
    /field is immutable|updates to \S+ spec for fields|is immutable after creation|may not change once set|cannot change roleRef/.test(
      message,
    );
  if (causes.length === 0 || !causes.every(({ message }) => isFixed(message))) return undefined;
  return causes.map(({ field = "" }) => field).filter((field) => field !== "");
}

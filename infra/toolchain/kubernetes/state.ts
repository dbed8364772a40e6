import { createHash } from "node:crypto";
import { type Properties, revealed, secretMark, signature } from "../plugin-values.js";
import type { Kind, Live } from "./kinds.js";

/** What the state keeps of an object, in the official plugin's form: the live object, and beside it what it was made from. */
export interface Kept {
  readonly inputs: Properties;
  readonly live: Live;
  readonly manager: string | undefined;
}

const isSecret = (value: unknown): boolean =>
  value instanceof Object && (value as Properties)[signature] === secretMark;
const secret = (value: unknown): unknown => ({ [signature]: secretMark, value });

/** A value without marks gets those that another of its shape has. */
export function marked(value: unknown, by: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (isSecret(by)) return secret(value);
  if (!(value instanceof Object) || !(by instanceof Object)) return value;
  if (Array.isArray(value)) {
    if (!Array.isArray(by) || !JSON.stringify(by).includes(secretMark)) return value;
    return by.length === value.length ? value.map((part, i) => marked(part, by[i])) : secret(value);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, marked(part, (by as Properties)[key])]),
  );
}

/** @param inputs with the marks of their secrets */
export function stateOf(live: Live, inputs: Properties, manager: string): Properties {
  const { managedFields: _notes, ...metadata } = live.metadata;
  const shown = marked({ ...live, metadata }, inputs) as Properties;
  // What a Secret holds is one, whatever the program said of it.
  const hidden = live.kind === "Secret" && live.data !== undefined ? { data: secret(live.data) } : {};
  return {
    ...shown,
    ...hidden,
    __inputs: inputs,
    __initialApiVersion: live.apiVersion ?? "",
    __fieldManager: manager,
  };
}

export function keptIn(state: Properties): Kept {
  const { __inputs, __fieldManager, __initialApiVersion: _version, ...live } = revealed(state);
  return {
    inputs: (__inputs ?? {}) as Properties,
    live: live as unknown as Live,
    manager: __fieldManager as string | undefined,
  };
}

export interface Naming {
  readonly urn: string;
  readonly seed: Uint8Array;
  /** What the engine would call it, where the project says how names are made. */
  readonly proposed: string | undefined;
  readonly namespace: string | undefined;
}

/** The inputs with a name and, where the provider has one, a namespace. An object without a name is called by its resource, and keeps that name. */
export function completed(
  kind: Kind,
  inputs: Properties,
  old: Properties,
  { urn, seed, proposed, namespace }: Naming,
): Properties {
  const { metadata = {} } = inputs;
  if (isSecret(metadata) || typeof metadata === "string") return inputs;
  const given = metadata as Properties;
  const space =
    kind.isNamespaced && given.namespace === undefined && namespace !== undefined ? { namespace } : {};
  const name = given.name ?? (revealed(old).metadata as Properties | undefined)?.name ?? proposed;
  const random = createHash("sha256").update(seed).update(urn).digest("hex").slice(0, 8);
  const own = { name: name ?? `${urn.split("::").at(-1)}-${random}` };
  const mark = { annotations: { ...(given.annotations as Properties), "pulumi.com/autonamed": "true" } };
  return {
    ...inputs,
    metadata: { ...given, ...space, ...(given.name === undefined ? { ...own, ...mark } : {}) },
  };
}

/** `namespace/name`, or `name` of what belongs to the whole cluster. */
export const idOf = ({ metadata: { name, namespace } }: Live): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

export function nameOf(id: string): { readonly name: string; readonly namespace?: string } {
  const [first = "", second] = id.split("/");
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

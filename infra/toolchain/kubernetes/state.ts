import { createHash } from "node:crypto";
import { at, type Live } from "../../cluster/object.js";
import { type Properties, revealed, secretMark, signature } from "../plugin-values.js";
import type { Kind } from "./kinds.js";
import type { Name } from "./objects.js";

const isSecret = (value: unknown): boolean => at(value, signature) === secretMark;
const secret = (value: unknown): unknown => ({ [signature]: secretMark, value });

/** A value without marks gets those that another of its shape has. */
export function marked(value: unknown, by: unknown): unknown {
  if (value !== undefined && value !== null && isSecret(by)) return secret(value);
  if (!(value instanceof Object) || !(by instanceof Object)) return value;
  if (!Array.isArray(value))
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, marked(part, at(by, key))]));
  if (Array.isArray(by) && by.length === value.length) return value.map((part, i) => marked(part, by[i]));
  return JSON.stringify(by).includes(secretMark) ? secret(value) : value;
}

/**
 * What the state keeps of an object, in the official plugin's form: the live object, and beside it what it was made from.
 *
 * @param inputs with the marks of their secrets
 */
export function stateOf(live: Live, inputs: Properties, manager: string): Properties {
  const { managedFields: _notes, ...metadata } = live.metadata;
  const shown = marked({ ...live, metadata }, inputs) as Properties;
  // What a Secret holds is one, whatever the program said of it.
  const hidden = live.kind === "Secret" && live.data !== undefined ? { data: secret(live.data) } : {};
  const own = { __inputs: inputs, __initialApiVersion: live.apiVersion, __fieldManager: manager };
  return { ...shown, ...hidden, ...own };
}

export function keptIn(state: Properties) {
  const { __inputs = {}, __fieldManager, ...live } = revealed(state);
  return { inputs: __inputs as Properties, live, manager: __fieldManager as string | undefined };
}

/** How an object without a name or namespace of its own is called. */
export interface Naming {
  readonly urn: string;
  readonly seed: Uint8Array;
  /** What the engine would call it, where the project says how names are made. */
  readonly proposed: string | undefined;
  /** The provider's. */
  readonly namespace: string | undefined;
}

/** The inputs with a name and, where the provider has one, a namespace. What is called by its resource keeps that name. */
export function completed(kind: Kind, inputs: Properties, old: Properties, naming: Naming): Properties {
  const { metadata = {} } = inputs;
  if (isSecret(metadata) || typeof metadata === "string") return inputs; // not known yet
  const given = metadata as Properties;
  const namespace = given.namespace ?? (kind.isNamespaced ? naming.namespace : undefined);
  const placed = namespace === undefined ? given : { ...given, namespace };
  if (given.name !== undefined) return { ...inputs, metadata: placed };
  const random = createHash("sha256").update(naming.seed).update(naming.urn).digest("hex").slice(0, 8);
  const own = naming.proposed ?? `${naming.urn.split("::").at(-1)}-${random}`;
  const name = at(revealed(old), "metadata", "name") ?? own;
  const annotations = { ...(given.annotations as Properties), "pulumi.com/autonamed": "true" };
  return { ...inputs, metadata: { ...placed, name, annotations } };
}

/** `namespace/name`, or `name` of what belongs to the whole cluster. */
export const idOf = ({ metadata: { name, namespace } }: Live): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

export function nameIn(id: string): Name {
  const [first = "", second] = id.split("/");
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

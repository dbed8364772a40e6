import { createHash } from "node:crypto";
import { InfraError } from "../../infra/problem.js";

/** A label as RFC 1123 and RFC 1035 both take it: what namespaces, Services, Pods and Jobs may be called. */
const LABEL = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** Hexadecimal digits that tell two long names apart. */
const DIGITS = 10;
const LONGEST = 63;

/**
 * A name as Kubernetes takes it: lower case, at most 63 characters. A name that is one already stays; from any other it is made with a hash
 * of the whole, so that two names never become one.
 */
export function label(name: string): string {
  if (LABEL.test(name)) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, DIGITS);
  const readable = name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, LONGEST - DIGITS - 1)
    .replace(/-+$/, "");
  return readable === "" ? `x-${hash}` : `${readable}-${hash}`;
}

/** The name of a port in a Pod: at most 15 characters (RFC 6335). */
export const portName = (name: string): string =>
  /^[a-z][a-z0-9-]{0,13}[a-z0-9]$/.test(name) ? name : `p-${label(name).slice(-DIGITS)}`;

/** The namespace of the core. */
export const coreNamespace = (prefix: string): string => label(`${prefix}core`);

/** The namespace of a party. Parties are one when their names differ only by case. */
export const partyNamespace = (prefix: string, party: string): string =>
  label(`${prefix}${party.toLowerCase()}`);

/**
 * The namespaces of a marketplace, checked: none may be another's.
 *
 * @throws InfraError K8S-NAMESPACE
 */
export function checkNamespaces(prefix: string, parties: readonly string[]): void {
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(prefix) || prefix.startsWith("kube-")) {
    throw new InfraError({
      code: "K8S-NAMESPACE",
      path: "kubernetes.namespacePrefix",
      message: `"${prefix}" cannot begin a namespace's name`,
      remedy: "write 1 to 20 lower case letters, digits and -, a letter first, and not kube-",
    });
  }
  const owners = new Map([[coreNamespace(prefix), "the core"]]);
  for (const party of parties) {
    const namespace = partyNamespace(prefix, party);
    const owner = owners.get(namespace);
    if (owner !== undefined) {
      throw new InfraError({
        code: "K8S-NAMESPACE",
        path: party,
        message: `${party} and ${owner} would share the namespace ${namespace}`,
        remedy: "give the party another name",
      });
    }
    owners.set(namespace, party);
  }
}

/** What a person writes about a cluster. Schemas and checks only: nothing here asks anybody. */
import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { InfraError, type Problem } from "../problem.js";
import { pathText, problemsOfSchema, refuse } from "../problems-of-schema.js";

/** `control` runs the control plane and a member of etcd; `worker` runs pods. Without workers, pods run on the control plane's hosts too. */
export const hostRoles = ["control", "worker"] as const;
export type HostRole = (typeof hostRoles)[number];

/** As Kubernetes wants the name of a node (RFC 1123). */
const hostName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const labelKey = /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/;
/** `90m`, `2h`, `45s` */
const duration = /^[1-9][0-9]{0,4}[smh]$/;

const address = z.string().superRefine((value, ctx) => {
  if (isIP(value) === 0)
    refuse(ctx, {
      code: "CLU-ADDRESS",
      message: `${JSON.stringify(value)} is no IPv4 or IPv6 address`,
      remedy: "give the address itself, without brackets or a port",
    });
});
const destination = z.union([address, z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/)]);
const network = z.string().superRefine((value, ctx) => {
  if (parseNetwork(value) === undefined)
    refuse(ctx, {
      code: "CLU-ADDRESS",
      message: `${JSON.stringify(value)} is no network`,
      remedy: "write it as 10.128.3.0/24",
    });
});
const port = z.int().min(1).max(65_535).default(22);
const privateKey = z.string().superRefine((value, ctx) => {
  if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(value))
    refuse(ctx, {
      code: "CLU-KEY",
      message: "this is no private key",
      remedy: "give the text of the private key (not its path, not the public key)",
    });
});
const user = z.string().regex(/^[a-z_][a-z0-9_.-]*\$?$/i, "the name of a user on that machine");
const hostKey = z
  .string()
  .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "as in known_hosts: kind and key, e.g. `ssh-ed25519 AAAA...`")
  .optional();

/** One machine, every value known. */
export const hostSchema = z
  .strictObject({
    role: z.enum(hostRoles).default("worker"),
    address: destination,
    port,
    user,
    privateKey,
    hostKey,
    bastion: z.strictObject({ host: destination, port, user, privateKey, hostKey }).optional(),
    dataAddress: address.optional(),
    network: z
      .strictObject({
        mac: z
          .string()
          .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, "a hardware address, e.g. 02:00:00:00:00:01"),
        subnet: network,
        routes: z.array(z.strictObject({ to: network, via: address })).default([]),
      })
      .optional(),
    labels: z
      .record(z.string().regex(labelKey, "a label's name"), z.string().regex(labelValue, "a label's value"))
      .default({}),
    reset: z.boolean().default(true),
  })
  .superRefine((host, ctx) => {
    if (host.network === undefined) return;
    if (host.dataAddress === undefined)
      refuse(ctx, { code: "CLU-ADDRESS", message: "a network needs the host's address on it", remedy: "add `dataAddress`" }, ["dataAddress"]); // biome-ignore format: one line
    else if (!isInside(host.dataAddress, host.network.subnet))
      refuse(
        ctx,
        {
          code: "CLU-ADDRESS-SUBNET",
          message: `${host.dataAddress} is outside ${host.network.subnet}`,
          remedy: "an address on the data network comes from its site's subnet",
        },
        ["dataAddress"],
      );
  });
/** A machine with everything known and defaults filled in. */
export type Host = z.output<typeof hostSchema>;
/** A machine as it is written. */
export type HostInput = z.input<typeof hostSchema>;

const version = z.string().regex(/^v?\d+\.\d+\.\d+$/, "a version, e.g. v2.31.0");
const tool = z.strictObject({ version, from: z.url().optional() });

/** A cluster that Kubespray makes, but for its hosts. */
export const kubesprayShape = {
  kubespray: z.strictObject({ version: version.default("v2.31.0"), source: z.url().optional() }).prefault({}),
  kubernetes: version.optional(),
  plugin: z.enum(["flannel", "calico", "cilium"]).default("flannel"),
  interfaces: z.string().min(1).optional(),
  ansibleOver: z.enum(["management", "data"]).default("management"),
  apiAddress: z.string().min(1).optional(),
  variables: z.record(z.string().regex(/^[a-z_][a-z0-9_]*$/i), z.json()).default({}),
  nat64: z.union([z.literal(false), z.array(address).min(1)]).default(["2a00:1098:2c::1", "2a01:4f8:c2c:123f::1", "2a00:1098:2b::1"]), // biome-ignore format: one line
  outbound: z.array(z.url()).default(["https://github.com", "https://registry.k8s.io"]),
  minimum: z
    .strictObject({ ram: z.number().min(0).default(1.5), disk: z.number().min(0).default(10) })
    .prefault({}),
  tools: z
    .strictObject({
      k9s: z.union([z.literal(false), tool]).default({ version: "v0.50.9" }),
      helm: z.union([z.literal(false), tool]).default({ version: "v3.18.4" }),
    })
    .prefault({}),
  deadline: z.string().regex(duration, "minutes or hours, e.g. 90m").default("2h"),
  patience: z.string().regex(duration, "seconds, minutes or hours, e.g. 5m").default("5m"),
} as const;
export const kubesprayOptionsSchema = z.strictObject(kubesprayShape);
export type KubesprayOptions = z.output<typeof kubesprayOptionsSchema>;
export type KubesprayOptionsInput = z.input<typeof kubesprayOptionsSchema>;

/** `cluster` as a configuration writes it. */
export const clusterSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("kubespray"),
    hosts: z.record(z.string(), hostSchema),
    ...kubesprayShape,
  }),
  z.strictObject({
    kind: z.literal("existing"),
    context: z.string().min(1).optional(),
    kubeconfig: z.string().min(1).optional(),
  }),
]);
export type ClusterSpec = z.output<typeof clusterSchema>;

/** Seconds of `90m`. */
export function seconds(text: string): number {
  const unit = { s: 1, m: 60, h: 3600 }[text.at(-1) ?? ""] ?? 1;
  return Number(text.slice(0, -1)) * unit;
}

/**
 * A host with all values known.
 *
 * @throws InfraError with the paths `hosts.<name>...`
 */
export function parseHost(name: string, value: unknown): Host {
  const parsed = hostSchema.safeParse(value);
  if (!parsed.success) throw new InfraError(problemsOfSchema(parsed.error, ["hosts", name]));
  return parsed.data;
}

/**
 * What is wrong with the names and roles of a cluster's hosts; they are plain, so all of it is known before anything is made.
 * Codes: CLU-NO-CONTROL, CLU-ETCD-EVEN, CLU-HOST-NAME, CLU-HOST-TWICE.
 */
export function membershipProblems(
  hosts: Readonly<Record<string, { readonly role?: HostRole | undefined }>>,
): Problem[] {
  const names = Object.keys(hosts);
  const control = names.filter((name) => hosts[name]?.role === "control");
  const problems: Problem[] = names
    .filter((name) => !hostName.test(name))
    .map((name) => ({
      code: "CLU-HOST-NAME",
      path: pathText(["hosts", name]),
      message: `${JSON.stringify(name)} cannot be the name of a Kubernetes node`,
      remedy: "use lower case letters, digits and hyphens, at most 63",
    }));
  const seen = new Map<string, string>();
  for (const name of names) {
    const before = seen.get(name.toLowerCase());
    if (before === undefined) seen.set(name.toLowerCase(), name);
    else
      problems.push({
        code: "CLU-HOST-TWICE",
        path: pathText(["hosts", name]),
        message: `two hosts of one name: ${before} and ${name}`,
        remedy: "rename one of them",
      });
  }
  if (control.length === 0)
    problems.push({
      code: "CLU-NO-CONTROL",
      path: "hosts",
      message: "no host has the role control",
      remedy: "give one host `role: control`; it runs the control plane and Kubespray",
    });
  else if (control.length % 2 === 0)
    problems.push({
      code: "CLU-ETCD-EVEN",
      path: "hosts",
      message: `${control.length} hosts have the role control (${control.join(", ")}), and each is a member of etcd, which needs an odd number`,
      remedy: `make it ${control.length - 1} or ${control.length + 1}`,
    });
  return problems;
}

/** Hosts that are one machine twice: the same management or data address. Code CLU-HOST-TWICE. */
export function addressProblems(
  hosts: Readonly<Record<string, Pick<Host, "address" | "port" | "dataAddress">>>,
): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  const once = (name: string, key: "address" | "dataAddress", value: string): void => {
    const before = seen.get(`${key} ${value}`);
    if (before === undefined) seen.set(`${key} ${value}`, name);
    else
      problems.push({
        code: "CLU-HOST-TWICE",
        path: `${pathText(["hosts", name])}.${key}`,
        message: `${value} is ${before}'s too`,
        remedy: "each host is a machine of its own",
      });
  };
  for (const [name, host] of Object.entries(hosts)) {
    once(name, "address", `${host.address} port ${host.port}`);
    if (host.dataAddress !== undefined) once(name, "dataAddress", host.dataAddress);
  }
  return problems;
}

/** `10.128.3.0/24` in its parts; undefined when it is none. */
export function parseNetwork(
  text: string,
): { readonly base: string; readonly bits: number; readonly kind: "ipv4" | "ipv6" } | undefined {
  const [base = "", bits = "", more] = text.split("/");
  const kind = isIP(base);
  if (kind === 0 || more !== undefined || !/^\d{1,3}$/.test(bits) || Number(bits) > (kind === 4 ? 32 : 128))
    return undefined;
  return { base, bits: Number(bits), kind: kind === 4 ? "ipv4" : "ipv6" };
}

/** Whether an address belongs to a network. */
export function isInside(ip: string, subnet: string): boolean {
  const parsed = parseNetwork(subnet);
  if (parsed === undefined || isIP(ip) !== (parsed.kind === "ipv4" ? 4 : 6)) return false;
  const list = new BlockList();
  list.addSubnet(parsed.base, parsed.bits, parsed.kind);
  return list.check(ip, parsed.kind);
}

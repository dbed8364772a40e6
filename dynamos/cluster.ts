/** The cluster of the targets `hosts` and `fabric`: what the configuration object says of it, checked and made into hosts. */
import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { membershipProblems } from "../infra/cluster/spec.js";
import { expandHome } from "../infra/fabric/credentials.js";
import type { Problem } from "../infra/problem.js";
import type { MarketplaceSpec } from "./spec.js";

/** Targets whose nodes are made into a cluster by Kubespray. */
export const CLUSTER_TARGETS: readonly unknown[] = ["hosts", "fabric"];

type Nodes = Readonly<Record<string, { readonly role?: unknown }>>;

/**
 * What is wrong with the nodes as hosts of a cluster. Takes the nodes as written.
 *
 * Codes: CLU-NO-CONTROL, CLU-ETCD-EVEN.
 */
export function clusterProblems(target: unknown, nodes: unknown): Problem[] {
  if (!CLUSTER_TARGETS.includes(target) || typeof nodes !== "object" || nodes === null) return [];
  return membershipProblems(rolesOf(nodes as Nodes))
    .filter(({ code }) => code === "CLU-NO-CONTROL" || code === "CLU-ETCD-EVEN")
    .map((problem) => ({ ...problem, path: "nodes" }));
}

/** What of a checked specification is not made by `up` yet, told each time. */
export function leftOut({ target }: Pick<MarketplaceSpec, "target">): Problem[] {
  if (!CLUSTER_TARGETS.includes(target)) return [];
  return [
    {
      code: "SPEC-TARGET-PART",
      path: "target",
      message: `${target}: the cluster is made, the marketplace's services are not put on it yet (issue 6)`,
      remedy: "use target local for a marketplace that works",
    },
  ];
}

/** What is wrong with the keys of `machines`; reads the files. Code CLU-KEY. */
export function keyProblems({ target, machines }: MarketplaceSpec, folder: string): Problem[] {
  if (target !== "hosts") return [];
  const files = {
    "machines.keyFile": machines?.keyFile,
    "machines.bastion.keyFile": machines?.bastion?.keyFile,
  };
  return Object.entries(files).flatMap(([path, file]) => {
    if (file === undefined && path !== "machines.keyFile") return [];
    const wanted = keyFile(file, folder);
    try {
      if (/^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(readFileSync(wanted, "utf8"))) return [];
      return [
        {
          code: "CLU-KEY",
          path,
          message: `${wanted} is no private key`,
          remedy: "name the private key's file",
        },
      ];
    } catch (error) {
      const message = `${wanted} cannot be read (${(error as NodeJS.ErrnoException).code})`;
      return [{ code: "CLU-KEY", path, message, remedy: "name the file of the key that the machines take" }];
    }
  });
}

/** The machines of the target `hosts`, the control plane in the order written. Reads the keys. */
export function machinesOf({ nodes, machines }: MarketplaceSpec, folder: string) {
  const privateKey = readFileSync(keyFile(machines?.keyFile, folder), "utf8");
  const { bastion, user = "ubuntu", port = 22 } = machines ?? {};
  const gate =
    bastion === undefined
      ? {}
      : {
          bastion: {
            host: bastion.host,
            port: bastion.port,
            user: bastion.user ?? user,
            privateKey:
              bastion.keyFile === undefined
                ? privateKey
                : readFileSync(keyFile(bastion.keyFile, folder), "utf8"),
          },
        };
  return Object.fromEntries(
    Object.entries(rolesOf(nodes)).map(([name, { role }]) => [
      name,
      { role, address: nodes[name]?.host ?? "", port, user, privateKey, ...gate },
    ]),
  );
}

/** Nodes of the role control run the control plane, all others pods. */
export function rolesOf(nodes: Nodes): Record<string, { readonly role: "control" | "worker" }> {
  return Object.fromEntries(
    Object.entries(nodes).map(([name, node]) => [
      name,
      { role: node?.role === "control" ? "control" : "worker" },
    ]),
  );
}

/** @param file as written: `~` is the home folder; default OpenSSH's own. @param folder of Pulumi.yaml */
function keyFile(file = "~/.ssh/id_ed25519", folder: string): string {
  return file.startsWith("~") || isAbsolute(file) ? expandHome(file) : join(folder, file);
}

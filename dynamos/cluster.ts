/** The cluster of the targets `hosts` and `fabric`: what the configuration object says of it, checked and made into hosts. */
import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { membershipProblems } from "../infra/cluster/spec.js";
import { expandHome } from "../infra/fabric/credentials.js";
import type { Problem } from "../infra/problem.js";
import { isNodeName } from "./cluster-options.js";
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

/** Targets that put the marketplace on a cluster. */
export const ON_CLUSTER: readonly unknown[] = [...CLUSTER_TARGETS, "kubernetes"];

/**
 * What a marketplace on a cluster needs beside what every target needs. Takes the object as written.
 *
 * Codes: SPEC-NO-ISSUER, K8S-NODE-NAME.
 */
export function onClusterProblems(raw: Readonly<Record<string, unknown>>): Problem[] {
  const { target = "local", users, nodes } = raw;
  const problems: Problem[] = [];
  if (ON_CLUSTER.includes(target) && users === undefined)
    problems.push({
      code: "SPEC-NO-ISSUER",
      path: "users",
      message:
        "a marketplace on a cluster needs an issuer of its users' tokens: the development issuer believes everybody",
      remedy: "add users: { issuer: https://... }",
    });
  if (target !== "kubernetes" || typeof nodes !== "object" || nodes === null) return problems;
  for (const [name, node] of Object.entries(nodes as Readonly<Record<string, { readonly host?: unknown }>>))
    if (typeof node?.host === "string" && !isNodeName(node.host))
      problems.push({
        code: "K8S-NODE-NAME",
        path: `nodes.${name}.host`,
        message: `"${node.host}" is no name of a Kubernetes node`,
        remedy: "take it from `kubectl get nodes`",
      });
  return problems;
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
  return fileOf(file, folder);
}

/** A file as written: `~` is the home folder, others are relative to the folder of Pulumi.yaml. */
export const fileOf = (file: string, folder: string): string =>
  file.startsWith("~") || isAbsolute(file) ? expandHome(file) : join(folder, file);

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import * as pulumi from "@pulumi/pulumi";
import { KubesprayCluster } from "dynamos-fabric/infra";

// pulumi config set --path own-machines:hosts.control 10.0.0.5
// pulumi config set --path own-machines:hosts.worker 10.0.0.6
const config = new pulumi.Config();
const user = config.get("user") ?? "ubuntu";
const keyFile = config.get("keyFile") ?? `${homedir()}/.ssh/id_ed25519`;
const login = { user, privateKey: readFileSync(keyFile, "utf8") };

const addresses = config.requireObject("hosts");
const hosts = Object.fromEntries(
  Object.entries(addresses).map(([name, address]) => [
    name,
    { address, role: name === "control" ? "control" : "worker", ...login },
  ]),
);

const cluster = new KubesprayCluster("own", { hosts });
export const kubeconfig = cluster.kubeconfig;
export const nodes = cluster.nodes;

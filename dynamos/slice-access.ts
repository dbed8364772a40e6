/** How the commands of this machine reach a marketplace on a slice, whose nodes lie behind FABRIC's bastion: as they reach one on this machine. */
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { type SliceWayArgs, sliceService } from "../infra/cluster/slice-api.js";
import { findProject } from "../infra/local/package-folder.js";
import { StateFolder } from "../infra/local/state-folder.js";
import { coreNamespace, label } from "./kubernetes/names.js";
import { DEFAULT_PREFIX } from "./kubernetes/options.js";
import { portOf } from "./kubernetes/place.js";
import { GATEWAY, OPERATOR_TOKEN, ORCHESTRATOR, STORE } from "./services.js";
import { STORE_READER, storeSecret } from "./store-rights.js";

/** What the operator's commands use, and the port of each as a local stack names it (runs/stack-access.ts). */
const REACHED = { [GATEWAY]: "http", [ORCHESTRATOR]: "http", [STORE]: "client" } as const;

/** Secrets that the operator's commands read from the stack's state folder: the cluster gets these, and no generated ones. */
export function operatorSecrets(state: string): Record<string, pulumi.Output<string>> {
  const folder = new StateFolder(join(findProject(), state));
  return Object.fromEntries(
    [OPERATOR_TOKEN, storeSecret(STORE_READER)].map((name) => [name, pulumi.secret(folder.secret(name))]),
  );
}

/**
 * Opens ways to gateway, orchestrator and store, which the stack's supervisor keeps open.
 *
 * @param after what must be there first: the marketplace
 * @returns the gateway's URL on this machine
 */
export function openWays(
  stack: string,
  way: SliceWayArgs,
  prefix: string = DEFAULT_PREFIX,
  after: readonly pulumi.Resource[] = [],
): pulumi.Output<string> {
  const ways = Object.entries(REACHED).map(([service, port]) => {
    const target = portOf(port);
    const wanted = { name: service, port, namespace: coreNamespace(prefix), service: label(service), target };
    return [service, sliceService(`${stack}-way-${service}`, wanted, way, after)] as const;
  });
  const gateway = ways.find(([service]) => service === GATEWAY)?.[1];
  return pulumi.output(gateway).apply((at) => `http://${at?.address}:${at?.port}`);
}

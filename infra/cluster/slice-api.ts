/** The way to the API server of a cluster on a slice: its nodes are only reached through FABRIC's bastion. */
import * as pulumi from "@pulumi/pulumi";
import type { FabricSlice } from "../fabric/slice.js";
import { loginsFile } from "../fabric/slice-logins.js";
import { LocalProcess } from "../local/process.js";
import type { ServiceSpec } from "../local/service.js";

export interface SliceApiArgs {
  readonly slice: FabricSlice;
  /** The node that runs the API server. */
  readonly control: string;
  /** The stack's state folder, as the slice has it. Default `.state/<stack>`. */
  readonly state?: string;
}

/** Where something is reached by TCP. */
export interface ApiAddress {
  readonly address: string;
  readonly port: number;
}

/** The service's name. */
export const API_TUNNEL = "cluster-api";
/** Kubernetes' own. */
const API_PORT = 6443;

/**
 * Keeps a way open by ssh, from a port of this machine's loopback to the API server: for `api` of a KubesprayCluster. The stack's supervisor runs it, so that
 * it is there for every later run, a destroy included; a broken one is opened again.
 */
export function sliceApi(name: string, args: SliceApiArgs): pulumi.Output<ApiAddress> {
  const state = args.state ?? `.state/${pulumi.getStack()}`;
  const spec = tunnelService(state, args.slice.plan.name, args.control);
  const tunnel = new LocalProcess(name, { state, spec }, { dependsOn: args.slice, parent: args.slice });
  return tunnel.ports.apply(({ api = 0 }) => ({ address: "127.0.0.1", port: api }));
}

/** The service, by the ssh_config that a slice has written. Pure. */
export function tunnelService(state: string, slice: string, control: string): ServiceSpec {
  const options = [
    "BatchMode=yes",
    "ExitOnForwardFailure=yes",
    // A connection that died is noticed within a minute, and opened again by the supervisor.
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
  ];
  return {
    name: API_TUNNEL,
    node: control,
    command: [
      "{{tool:ssh}}",
      ...["-F", `{{project}}/${loginsFile(state, slice)}`, "-N"],
      ...options.flatMap((option) => ["-o", option]),
      ...["-L", `127.0.0.1:{{port:api}}:127.0.0.1:${API_PORT}`, control],
    ],
    ports: { api: 0 },
    ready: { tcp: "api" },
    startSeconds: 120,
  };
}

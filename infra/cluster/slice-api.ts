/** Ways into a cluster on a slice, whose nodes are only reached through FABRIC's bastion: to its API server, and to services in it. */
import * as pulumi from "@pulumi/pulumi";
import type { FabricSlice } from "../fabric/slice.js";
import { loginsFile } from "../fabric/slice-logins.js";
import { LocalProcess } from "../local/process.js";
import type { ServiceSpec } from "../local/service.js";

export interface SliceWayArgs {
  readonly slice: FabricSlice;
  /** A node that runs the API server. */
  readonly control: string;
  /** The stack's state folder, as the slice has it. Default `.state/<stack>`. */
  readonly state?: string;
}

/** Where something is reached by TCP. */
export interface ApiAddress {
  readonly address: string;
  readonly port: number;
}

/** A service of the cluster that is to be reached from here. */
export interface ServiceWay {
  /** The way's own name, and that of its port, in the stack's list of services. */
  readonly name: string;
  readonly port: string;
  readonly namespace: string;
  readonly service: string;
  /** The service's port. */
  readonly target: number;
}

/** The name of the way to the API server. */
export const API_TUNNEL = "cluster-api";
/** Kubernetes' own. */
const API_PORT = 6443;

/**
 * Keeps a way open by ssh, from a port of this machine's loopback to the API server: for `api` of a KubesprayCluster. The stack's supervisor runs it, so that
 * it is there for every later run, a destroy included; a broken one is opened again.
 */
export function sliceApi(name: string, args: SliceWayArgs): pulumi.Output<ApiAddress> {
  return open(name, args, "api", apiTunnel(...placeOf(args)), []);
}

/**
 * As {@link sliceApi}, to a service inside of the cluster.
 *
 * @param after what must be there first: the service
 */
export function sliceService(
  name: string,
  way: ServiceWay,
  args: SliceWayArgs,
  after: readonly pulumi.Resource[],
): pulumi.Output<ApiAddress> {
  return open(name, args, way.port, serviceTunnel(way, ...placeOf(args)), after);
}

function open(
  name: string,
  args: SliceWayArgs,
  port: string,
  spec: ServiceSpec,
  after: readonly pulumi.Resource[],
): pulumi.Output<ApiAddress> {
  // The node is there when the slice's ssh_config is. Not the whole slice: its children would wait for each other.
  const node = args.slice.nodes[args.control];
  const dependsOn = [...(node === undefined ? [] : [node]), ...after];
  const tunnel = new LocalProcess(name, { state: stateOf(args), spec }, { dependsOn });
  return tunnel.ports.apply((ports) => ({ address: "127.0.0.1", port: ports[port] ?? 0 }));
}

const stateOf = ({ state }: SliceWayArgs): string => state ?? `.state/${pulumi.getStack()}`;
const placeOf = (args: SliceWayArgs): [config: string, control: string] => [
  `{{project}}/${loginsFile(stateOf(args), args.slice.plan.name)}`,
  args.control,
];

const options = [
  "BatchMode=yes",
  "ExitOnForwardFailure=yes",
  // A connection that died is noticed within a minute, and opened again by the supervisor.
  "ServerAliveInterval=15",
  "ServerAliveCountMax=3",
].flatMap((option) => ["-o", option]);

const tunnel = (name: string, node: string, port: string, command: readonly string[]): ServiceSpec => ({
  name,
  node,
  command,
  ports: { [port]: 0 },
  ready: { tcp: port },
  startSeconds: 120,
});

/** The way to the API server, by the ssh_config that a slice has written. Pure. */
export function apiTunnel(config: string, control: string): ServiceSpec {
  const forward = `127.0.0.1:{{port:api}}:127.0.0.1:${API_PORT}`;
  const command = ["{{tool:ssh}}", "-F", config, "-N", ...options, "-L", forward, control];
  return tunnel(API_TUNNEL, control, "api", command);
}

/**
 * The way to a service, whose address inside of the cluster is asked for at each start: what runs then is ssh alone.
 * $1 namespace, $2 service, $3 the port here, $4 the service's, then ssh with its options and the control node, twice as far as it goes.
 */
const serviceScript = `look="KUBECONFIG=/etc/kubernetes/admin.conf PATH=\\$PATH:/usr/local/bin kubectl -n $1 get service $2 -o jsonpath={.spec.clusterIP}"
namespace=$1 service=$2 here=$3 there=$4 control=$5
shift 5
address=$("$@" "$control" "if [ \\$(id -u) = 0 ]; then env $look; else sudo -n env $look; fi") || exit 1
[ -n "$address" ] || { echo "no service $service in $namespace" >&2; exit 1; }
exec "$@" -N -L "127.0.0.1:$here:$address:$there" "$control"`;

/** Pure. */
export function serviceTunnel(way: ServiceWay, config: string, control: string): ServiceSpec {
  const { name, port, namespace, service, target } = way;
  const place = [namespace, service, `{{port:${port}}}`, String(target), control];
  const ssh = ["{{tool:ssh}}", "-F", config, ...options];
  return tunnel(name, control, port, ["/bin/sh", "-c", serviceScript, "sh", ...place, ...ssh]);
}

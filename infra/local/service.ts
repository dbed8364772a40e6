/**
 * One process that the supervisor keeps running on this machine.
 *
 * Texts in `command`, `env` and `files` may hold placeholders, filled in by the supervisor when it starts the service:
 * - `{{port:NAME}}` this service's port, `{{port:SERVICE/NAME}}` another's (which must be listed in `needs`)
 * - `{{listen}}` the address to listen on, `{{host:SERVICE}}` the address of another service (127.0.0.1, both)
 * - `{{folder}}` this service's own folder (its working folder), `{{package}}` the dynamos-fabric package's folder,
 *   `{{project}}` the folder of Pulumi.yaml
 * - `{{node}}` the Node executable, `{{tool:NAME}}` a program found by infra/toolchain (`rabbitmq-server`, `etcd`, `epmd`)
 * - `{{secretFile:NAME}}` path of a generated secret (0600; made on first use, kept in the stack's state folder)
 * - `{{secret:NAME}}` its text and `{{rabbitmqHash:NAME}}` its RabbitMQ SHA-256 hash: only inside `files`
 *
 * A spec holds no absolute path, no chosen port and no secret, so it is the same on every machine and in every preview.
 */
export interface ServiceSpec {
  /** Unique in the stack, e.g. `agent-clientone`. `^[a-z][a-z0-9-]{0,62}$` */
  readonly name: string;
  /** The node it belongs to, e.g. `clientone`. Stopping a node stops exactly its services. */
  readonly node: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Port name to a fixed port, or 0 for any free one (kept over restarts). Loopback only. */
  readonly ports?: Readonly<Record<string, number>>;
  /** Written below the service's folder before it starts, mode 0600. */
  readonly files?: readonly ServiceFile[];
  readonly ready: ReadyCheck;
  /** Services that must be ready first; the supervisor also restarts this one when a port it was given changes. */
  readonly needs?: readonly string[];
  /** Seconds a start may take until ready. Default 60. */
  readonly startSeconds?: number;
  /** Seconds between SIGTERM and SIGKILL. Default 10. */
  readonly stopSeconds?: number;
}

export interface ServiceFile {
  /** Relative to the service's folder. */
  readonly path: string;
  readonly content: string;
}

export type ReadyCheck =
  /** The named port accepts a connection. */
  | { readonly tcp: string }
  /** GET on the named port answers 200. */
  | { readonly http: string; readonly path: string };

export type ServiceState = "starting" | "ready" | "failed" | "stopped";

export interface ServiceStatus {
  readonly name: string;
  readonly node: string;
  readonly state: ServiceState;
  readonly pid?: number;
  /** ISO 8601, when the process now running was started. */
  readonly since?: string;
  readonly restarts: number;
  /** Port name to the port in use on 127.0.0.1. */
  readonly ports: Readonly<Record<string, number>>;
  readonly folder: string;
  readonly log: string;
  /** SHA-256 of the spec as registered. */
  readonly specHash: string;
  readonly problem?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

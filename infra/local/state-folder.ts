import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { InfraError } from "../problem.js";
import type { ProcessIdentity } from "./os-process.js";
import type { ServiceSpec, ServiceState, ServiceStatus } from "./service.js";

/** What is known of one service, as kept in services.json. Holds no secret. */
export interface ServiceRecord {
  readonly spec: ServiceSpec;
  readonly specHash: string;
  /** What should be: `gone` while its removal is not finished. */
  readonly wanted: "running" | "stopped" | "gone";
  readonly state: ServiceState;
  readonly ports: Readonly<Record<string, number>>;
  /** How often it was started again after a crash. */
  readonly restarts: number;
  readonly run?: ServiceRun;
  readonly problem?: NonNullable<ServiceStatus["problem"]>;
}

/** One process of a service, recorded before it may do anything. */
export interface ServiceRun extends ProcessIdentity {
  /** ISO 8601. */
  readonly since: string;
  /** Size of the log when it was started, so that a message quotes this run's lines only. */
  readonly logOffset: number;
  /** The other services' ports that it was given: `service/port` to number. */
  readonly given: Readonly<Record<string, number>>;
}

/** Where to find the supervisor, as kept in supervisor.json (0600). */
export interface SupervisorRecord extends ProcessIdentity {
  readonly port: number;
  readonly token: string;
}

/** A stack's state folder: paths and files, every write atomic, so that a kill at any moment leaves the old or the new text. */
export class StateFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get lock(): string {
    return join(this.path, "supervisor.lock");
  }

  get supervisorLog(): string {
    return this.log("supervisor");
  }

  log(service: string): string {
    return join(this.path, "logs", `${service}.log`);
  }

  serviceFolder(spec: Pick<ServiceSpec, "name" | "node">): string {
    return join(this.path, "nodes", spec.node, spec.name);
  }

  secretFile(name: string): string {
    return join(this.path, "secrets", name);
  }

  /** Makes the folder itself and the one for logs, readable by nobody else. */
  prepare(): void {
    mkdirSync(join(this.path, "logs"), { recursive: true, mode: 0o700 });
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  /** The recorded services by name; empty when there are none. Throws LOC-STATE-DAMAGED for a file that is not ours. */
  services(): ReadonlyMap<string, ServiceRecord> {
    const file = this.#read<{ readonly services: Record<string, ServiceRecord> }>("services.json");
    return new Map(Object.entries(file?.services ?? {}));
  }

  saveServices(services: ReadonlyMap<string, ServiceRecord>): void {
    writeFileAtomic(
      join(this.path, "services.json"),
      `${JSON.stringify({ version: 1, services: Object.fromEntries(services) }, null, 1)}\n`,
    );
  }

  supervisor(): SupervisorRecord | undefined {
    return this.#read<SupervisorRecord>("supervisor.json");
  }

  saveSupervisor(record: SupervisorRecord): void {
    writeFileAtomic(join(this.path, "supervisor.json"), `${JSON.stringify(record)}\n`);
  }

  forgetSupervisor(): void {
    rmSync(join(this.path, "supervisor.json"), { force: true });
  }

  /** Removes all that the supervisor keeps here but the logs. */
  forgetServices(): void {
    for (const name of ["services.json", "nodes", "secrets"])
      rmSync(join(this.path, name), { recursive: true, force: true });
  }

  /** Moves a services.json that cannot be read out of the way, for a person to look at. */
  forgetRecords(): void {
    renameSync(join(this.path, "services.json"), join(this.path, "services.damaged.json"));
  }

  /** The path of a secret, made on first use: 32 random bytes in base64url, 0600. */
  ensureSecret(name: string): string {
    const path = this.secretFile(name);
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileAtomic(path, randomBytes(32).toString("base64url"));
    }
    return path;
  }

  /** The text of a secret, made on first use. */
  secret(name: string): string {
    return readFileSync(this.ensureSecret(name), "utf8");
  }

  #read<T>(name: string): T | undefined {
    const path = join(this.path, name);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new InfraError(
        {
          code: "LOC-STATE-DAMAGED",
          file: path,
          message: "not valid JSON",
          remedy:
            "put back what was there, or remove the file: the stack's processes are then ended by `down` and made anew by `up`",
        },
        { cause: error },
      );
    }
  }
}

/** Writes beside the file, brings it to the disk, then renames: readers see the old text or the new, never a part. Mode 0600. */
export function writeFileAtomic(path: string, text: string): void {
  const beside = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const file = openSync(beside, "wx", 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
}

import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { identityOf, nameOfProcess } from "../local/os-process.js";
import { InfraError } from "../problem.js";

/** A lock of the engine's file backend (`pkg/backend/diy/lock.go`). */
export interface StackLock {
  readonly pid: number;
  readonly hostname: string;
  /** ISO 8601 */
  readonly timestamp: string;
}

/** What is on disk of one stack in the engine's file backend. */
export class StackState {
  readonly #locks: string;
  readonly #checkpoint: string;

  constructor(backend: string, project: string, stack: string) {
    this.#locks = join(backend, ".pulumi", "locks", "organization", project, stack);
    this.#checkpoint = join(backend, ".pulumi", "stacks", project, `${stack}.json`);
  }

  get exists(): boolean {
    return existsSync(this.#checkpoint);
  }

  /** Removes locks whose process is gone; answers the lock of a run that still goes on, if there is one. */
  clearDeadLocks(): StackLock | undefined {
    let live: StackLock | undefined;
    // Beside each lock the backend keeps a file of attributes, which goes with it.
    const names = existsSync(this.#locks) ? readdirSync(this.#locks) : [];
    for (const name of names.filter((found) => found.endsWith(".json"))) {
      const file = join(this.#locks, name);
      const remove = (): void =>
        [file, `${file}.attrs`].forEach((path) => void rmSync(path, { force: true }));
      let lock: StackLock;
      try {
        lock = JSON.parse(readFileSync(file, "utf8"));
      } catch {
        // Cut off in the middle of its writing, or just removed by its owner.
        remove();
        continue;
      }
      const holder = identityOf(lock.pid) === undefined ? undefined : nameOfProcess(lock.pid);
      if (isHeld(lock, hostname(), holder)) live = lock;
      else remove();
    }
    return live;
  }

  /** Operations that a killed run began and nobody recorded the end of, e.g. `creating dev-clientone`. */
  pendingOperations(): string[] {
    return (this.#latest()?.pending_operations ?? []).map(
      (operation) => `${operation.type ?? "?"} ${operation.resource?.urn?.split("::").at(-1) ?? "?"}`,
    );
  }

  /** The salt that the state's secrets were encrypted with. */
  salt(): string | undefined {
    return this.#latest()?.secrets_providers?.state?.salt;
  }

  /** How many resources the state holds, the stack itself and providers not counted. */
  resourceCount(): number {
    const resources = this.#latest()?.resources ?? [];
    return resources.filter((resource) => !resource.type?.startsWith("pulumi:")).length;
  }

  #latest(): Latest | undefined {
    if (!this.exists) return undefined;
    const text = readFileSync(this.#checkpoint, "utf8");
    try {
      const checkpoint: { checkpoint?: { latest?: Latest } } = JSON.parse(text);
      return checkpoint.checkpoint?.latest;
    } catch (cause) {
      throw new InfraError(
        {
          code: "TOOL-STATE-DAMAGED",
          file: this.#checkpoint,
          message: "the engine's state of this stack is no valid JSON",
          remedy: "put back a copy from backend/.pulumi/backups, or forget it: `npm run down`",
        },
        { cause },
      );
    }
  }
}

/** The part of a checkpoint that is read here (`sdk/go/common/apitype`, DeploymentV3). */
interface Latest {
  readonly secrets_providers?: { readonly state?: { readonly salt?: string } };
  readonly resources?: readonly { readonly type?: string }[];
  readonly pending_operations?: readonly {
    readonly type?: string;
    readonly resource?: { readonly urn?: string };
  }[];
}

/**
 * Whether a lock's process still runs. A process that is no engine got the pid of one that died. Of another machine nothing is
 * known: its lock is held.
 *
 * @param holder name of the process that has the lock's pid here, if there is one
 */
export function isHeld(lock: Pick<StackLock, "hostname">, here: string, holder: string | undefined): boolean {
  return lock.hostname !== here || (holder?.includes("pulumi") ?? false);
}

import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { ChangerMessage, ChangerOrder } from "./changer.js";

type Changed = Extract<ChangerMessage, { type: "changed" }>;

/** The other process of an experiment: the one that changes the policy. */
export class Changer {
  readonly #child: ChildProcess;
  readonly #outcome: Promise<Changed | undefined>;
  readonly #watching: Promise<void>;
  readonly #gone: Promise<void>;
  #restored = false;

  constructor(order: ChangerOrder) {
    this.#child = fork(join(__dirname, "changer.js"), [JSON.stringify(order)], {
      detached: true,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const outcome = Promise.withResolvers<Changed | undefined>();
    const watching = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    this.#outcome = outcome.promise;
    this.#watching = watching.promise;
    this.#gone = gone.promise;
    this.#outcome.catch(() => undefined);
    this.#watching.catch(() => undefined);
    this.#child.on("message", (message: ChangerMessage) => {
      if (message.type === "watching") watching.resolve();
      else if (message.type === "changed") outcome.resolve(message);
      else if (message.type === "nothing") outcome.resolve(undefined);
      else if (message.type === "restored") this.#restored = true;
      else fail(message.message);
    });
    this.#child.on("exit", (code, signal) => {
      fail(`it ended early (${signal ?? code})`);
      gone.resolve();
    });
    function fail(why: string): void {
      const error = new InfraError({
        code: "EXP-CHANGER",
        message: `the process that changes the policy failed: ${why}`,
      });
      outcome.reject(error);
      watching.reject(error);
    }
  }

  /** Resolves once it follows the job's rounds. */
  watching(): Promise<void> {
    return this.#watching;
  }

  /** The change, once the job has ended; undefined when there was none. */
  changed(): Promise<Changed | undefined> {
    return this.#outcome;
  }

  /** Puts the agreement back and ends the process. Throws EXP-NOT-RESTORED when it could not. */
  async restore(): Promise<void> {
    if (this.#child.connected) this.#child.send("restore");
    await this.#gone;
    if (!this.#restored) {
      throw new InfraError({
        code: "EXP-NOT-RESTORED",
        message: "the agreement could not be put back",
        remedy: "it is put back by the next `npm run experiment`; `npm run status` shows what is down",
      });
    }
  }
}

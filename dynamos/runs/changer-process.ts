import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { ChangerCommand, ChangerMessage, ChangerOrder, MadeChange } from "./changer.js";

/** The other process of an experiment: the one that changes the policy. */
export class Changer {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #ended = Promise.withResolvers<readonly MadeChange[]>();
  #failed: InfraError | undefined;
  #restored = false;

  constructor(order: ChangerOrder) {
    this.#child = fork(join(__dirname, "changer.js"), [JSON.stringify(order)], {
      detached: true,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const gone = Promise.withResolvers<void>();
    this.#gone = gone.promise;
    this.#child.on("message", (message: ChangerMessage) => {
      if (message.type === "ended") this.#ended.resolve(message.made);
      else if (message.type === "restored") this.#restored = true;
      else if (message.type === "error") this.#fail(message.message);
    });
    this.#child.on("exit", (code, signal) => {
      this.#fail(`it ended early (${signal ?? code})`);
      gone.resolve();
    });
  }

  /** It follows this job from now on. @param firstRound the round of the run that is the job's first */
  follow(job: string, firstRound: number): void {
    this.#ended = Promise.withResolvers();
    this.#ended.promise.catch(() => undefined);
    if (this.#failed !== undefined) this.#ended.reject(this.#failed);
    else this.#child.send({ follow: job, firstRound } satisfies ChangerCommand);
  }

  /** What was changed during the job it follows, once that has ended. Throws EXP-CHANGER. */
  made(): Promise<readonly MadeChange[]> {
    return this.#ended.promise;
  }

  /** Puts the agreements back and ends the process. Throws EXP-NOT-RESTORED when it could not. */
  async restore(): Promise<void> {
    if (this.#child.connected) this.#child.send("restore" satisfies ChangerCommand);
    await this.#gone;
    if (!this.#restored) {
      throw new InfraError({
        code: "EXP-NOT-RESTORED",
        message: "an agreement could not be put back",
        remedy: "it is put back by the next `npm run experiment`; `npm run status` shows what is down",
      });
    }
  }

  #fail(why: string): void {
    this.#failed ??= new InfraError({
      code: "EXP-CHANGER",
      message: `the process that changes the policy failed: ${why}`,
    });
    this.#ended.reject(this.#failed);
  }
}

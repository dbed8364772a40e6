/** The emulator as a process of its own, which can be killed and comes back with its state. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type EmulatorState, emptyState } from "../../infra/fabric/emulator/model.js";
import type { ScenarioInput } from "../../infra/fabric/emulator/scenario.js";
import type { SliverFault } from "./schedule.js";

const built = resolve(__dirname, "../../dist/infra");

/** The state of a testbed without slices. */
export const noSlices: string = JSON.stringify(emptyState);

export class EmulatorProcess {
  readonly #folder: string;
  #port = 0;
  #child: ChildProcess | undefined;
  #ready: Promise<void> = Promise.resolve();
  #back: Promise<void> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Starts it in a folder with a first state. Answers at once; `port` waits for it. */
  static start(folder: string, scenario: ScenarioInput, state: string): EmulatorProcess {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "scenario.json"), JSON.stringify(scenario));
    writeFileSync(join(folder, "slices.json"), state);
    const emulator = new EmulatorProcess(folder);
    emulator.#launch();
    return emulator;
  }

  /** Where it listens, or listened before it was killed; another port after each start. Waits for the first start only. */
  readonly port = async (): Promise<number> => {
    if (this.#port === 0) await this.#ready;
    return this.#port;
  };

  /** What it has on its disk. */
  state(): EmulatorState {
    return JSON.parse(readFileSync(join(this.#folder, "slices.json"), "utf8")) as EmulatorState;
  }

  /** From now on these go wrong with slivers. */
  async spoilSlivers(rules: readonly SliverFault[]): Promise<void> {
    const token = readFileSync(join(this.#folder, "admin-token"), "utf8").trim();
    const answer = await fetch(`http://127.0.0.1:${await this.port()}/emulator/sliver-faults`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(rules),
    });
    if (!answer.ok) throw new Error(`the emulator took no faults: ${await answer.text()}`);
  }

  /** Kills it as a power cut would and starts it again after a while; `isBack` waits for that. */
  kill9(after: number): void {
    this.#child?.kill("SIGKILL");
    this.#back = sleep(after).then(async () => {
      this.#launch();
      await this.#ready;
    });
    // Told to whoever waits for it.
    this.#back.catch(() => undefined);
  }

  async isBack(): Promise<void> {
    await this.#back;
    await this.#ready;
  }

  async stop(): Promise<void> {
    await this.#back.catch(() => undefined);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  #launch(): void {
    const main = join(built, "fabric/emulator/main.js");
    const child = spawn(process.execPath, [`--require=${join(built, "toolchain/watch-parent.js")}`, main], {
      env: {
        ...process.env,
        HTTP_PORT: "0",
        STATE_FILE: join(this.#folder, "slices.json"),
        ADMIN_TOKEN_FILE: join(this.#folder, "admin-token"),
        SCENARIO_FILE: join(this.#folder, "scenario.json"),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let text = "";
    this.#ready = new Promise((done, failed) => {
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          const port = /FABRIC emulator at http:\/\/127\.0\.0\.1:(\d+)\n/.exec(text)?.[1];
          if (port === undefined) return;
          this.#port = Number(port);
          done();
        });
      child.once("error", failed);
      child.once("exit", (code, signal) =>
        failed(new Error(`the emulator ended with ${code ?? signal}: ${text}`)),
      );
    });
    this.#ready.catch(() => undefined);
  }
}

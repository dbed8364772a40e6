import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { brokenOff, crashed, needMissing, recorded, startFailed } from "./keeper-problems.js";
import { launch, removeStaleFiles, renderSpec, writeServiceFiles } from "./launch.js";
import { endProcesses, isAlive, markOf } from "./os-process.js";
import { givenPorts, mustRestart, type PortTable } from "./plan.js";
import { type Readiness, waitUntilReady } from "./ready.js";
import type { ServiceSpec, ServiceStatus } from "./service.js";
import { statusFrom } from "./service-status.js";
import { serviceValues, type ValueSources } from "./service-values.js";
import type { ServiceRecord } from "./state-folder.js";

/** Seconds before a crashed service is started again: the first time, and at most. */
export const backoffSeconds = { first: 0.2, most: 10 } as const;
/** A service that ran this long is no longer in a crash loop; its backoff begins anew. */
const steadySeconds = 30;
const defaults = { startSeconds: 60, stopSeconds: 10 } as const;

/** What a keeper must know of its surroundings. */
export interface Surroundings extends ValueSources {
  neighbour(name: string): Keeper | undefined;
  ports(): PortTable;
  /** Chooses the ports to use now and hands them to `keep`. Throws LOC-PORT-IN-USE. */
  allocate(record: ServiceRecord, keep: (ports: Record<string, number>) => void): Promise<void>;
  /** Whether one of these ports is held by somebody. */
  anyInUse(ports: Readonly<Record<string, number>>): Promise<boolean>;
  /** Writes all records to disk. */
  save(): void;
  /** Starts again those services whose given ports have changed. Never rejects. */
  settle(): Promise<void>;
  log(text: string): void;
}

/** Keeps one service as it should be. What it does to the service's process it does one after the other. */
export class Keeper {
  readonly #around: Surroundings;
  #record: ServiceRecord;
  #queue: Promise<unknown> = Promise.resolve();
  #abort = new AbortController();
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  #readySince = performance.now();
  #halted = false;
  #settling: Promise<void> = Promise.resolve();

  constructor(record: ServiceRecord, around: Surroundings) {
    this.#record = record;
    this.#around = around;
  }

  get record(): ServiceRecord {
    return this.#record;
  }

  get name(): string {
    return this.#record.spec.name;
  }

  /** Makes the service ready with this specification. Throws what kept it from that. */
  async put(spec: ServiceSpec, specHash: string): Promise<void> {
    if (specHash !== this.#record.specHash) {
      this.#abort.abort();
      await this.#exclusive(() => this.#replace(spec, specHash));
    }
    await this.start();
  }

  /** Makes the service ready, if it is not. Throws what kept it from that; it is not tried again until asked. */
  async start(): Promise<void> {
    clearTimeout(this.#retry);
    this.#failures = 0;
    this.#set({ wanted: "running" });
    await this.#exclusive(async () => {
      if (this.#record.wanted !== "running") throw brokenOff(this.name);
      if (this.#record.state === "ready" && this.#isRunning()) return;
      await this.#begin();
    });
  }

  /** Ends the service's processes; it stays ended until it is started. `gone`: it is about to be removed. */
  async stop(wanted: "stopped" | "gone" = "stopped"): Promise<void> {
    clearTimeout(this.#retry);
    this.#set({ wanted });
    this.#abort.abort();
    await this.#exclusive(async () => {
      if (this.#record.wanted === wanted) await this.#end();
    });
  }

  /** Ends the service's processes without a change to what should be: the next supervisor starts it again. */
  async halt(): Promise<void> {
    this.#halted = true;
    clearTimeout(this.#retry);
    this.#abort.abort();
    await this.#exclusive(() => this.#end());
  }

  /** Removes the service's folder; its log stays. */
  removeFolder(): void {
    rmSync(this.#around.state.serviceFolder(this.#record.spec), { recursive: true, force: true });
  }

  /** First half of taking over what a former supervisor left: says at once what is not so any more. */
  expectRecovery(): void {
    if (this.#record.wanted !== "running") return;
    if (this.#record.state === "ready" && this.#isRunning()) return;
    this.#record = { ...this.#record, state: "starting" };
  }

  /** Second half: adopts, ends or starts. Failures are recorded and tried again, since nobody asked and nobody hears. */
  async recover(): Promise<void> {
    if (this.#record.wanted !== "running") return await this.stop(this.#record.wanted);
    await this.#tryAgainOnFailure(async () => {
      if (this.#isRunning()) {
        this.#around.log(`${this.name}: adopted, pid ${this.#record.run?.pid}`);
        if (this.#record.state === "ready") return;
        if ((await this.#untilReady(this.#deadline())) === "ready") return this.#becomeReady();
      }
      await this.#begin();
    });
  }

  /** Starts the service again if a port that it was given is another now; answers when that is done. */
  async settle(): Promise<void> {
    if (this.#mustRestart()) {
      this.#settling = this.#tryAgainOnFailure(async () => {
        if (!this.#mustRestart()) return;
        this.#around.log(`${this.name}: started again, since a port that it was given has changed`);
        await this.#begin();
      });
    }
    await this.#settling;
  }

  /** Looks whether the process still runs, and sees to it that a crashed one is started again. */
  look(): void {
    const { state, wanted } = this.#record;
    if (state !== "ready" || wanted !== "running" || this.#halted || this.#isRunning()) return;
    if (performance.now() - this.#readySince > steadySeconds * 1000) this.#failures = 0;
    const problem = crashed(this.#record, this.#log);
    this.#around.log(problem.message);
    this.#set({ state: "starting", problem });
    this.#tryAgain();
  }

  /** Waits until a service that is ready passes its check (again), at most so long. */
  async wellAgain(seconds: number): Promise<void> {
    const { state, spec, ports } = this.#record;
    if (state !== "ready") return;
    const deadline = performance.now() + seconds * 1000;
    await waitUntilReady(spec.ready, ports, {
      deadline,
      signal: this.#abort.signal,
      running: () => this.#isRunning(),
    });
  }

  status(): ServiceStatus {
    return statusFrom(this.#record, this.#around.state);
  }

  async #replace(spec: ServiceSpec, specHash: string): Promise<void> {
    const before = this.#record.spec;
    // "starting" first: its end is not a crash.
    this.#set({ state: "starting" });
    await this.#endProcesses();
    const folder = this.#around.state.serviceFolder(spec);
    if (this.#around.state.serviceFolder(before) !== folder) this.removeFolder();
    else removeStaleFiles(folder, before, spec);
    const { run: _ended, problem: _old, ...kept } = this.#record;
    const ports = Object.entries(kept.ports).filter(([name]) => Object.hasOwn(spec.ports ?? {}, name));
    this.#record = { ...kept, spec, specHash, ports: Object.fromEntries(ports), restarts: 0 };
    this.#around.save();
  }

  /** Ends what is left of a former run, then starts the process and waits until it is ready. */
  async #begin(): Promise<void> {
    const { signal } = this.#renewAbort();
    const deadline = this.#deadline();
    this.#set({ state: "starting" });
    try {
      await this.#endProcesses();
      await this.#needsReady(deadline, signal);
      for (let attempt = 1; ; attempt++) {
        await this.#spawn();
        const readiness = await this.#untilReady(deadline, signal);
        if (readiness === "ready") break;
        if (readiness === "aborted") throw brokenOff(this.name);
        const failure = startFailed(this.#record, this.#log, readiness, this.#startSeconds);
        await this.#endProcesses();
        // Somebody took a free port between our look and the service's own: another is found for it.
        if (readiness !== "ended" || attempt === 3 || !(await this.#around.anyInUse(this.#record.ports)))
          throw failure;
      }
    } catch (error) {
      await this.#fail(error);
    }
    this.#becomeReady();
  }

  #becomeReady(): void {
    const { problem: _solved, ...rest } = this.#record;
    this.#record = { ...rest, state: "ready" };
    this.#readySince = performance.now();
    this.#around.save();
    this.#around.log(`${this.name}: ready, pid ${this.#record.run?.pid}`);
    // Not awaited: this keeper's queue must not wait for another's, which may wait for this one.
    void this.#around.settle();
  }

  async #fail(error: unknown): Promise<never> {
    const problem = recorded(error);
    await this.#endProcesses();
    const { run: _ended, ...rest } = this.#record;
    this.#record = { ...rest, state: "failed", problem };
    this.#around.save();
    this.#around.log(`${this.name}: ${problem.code}  ${problem.message}`);
    throw error;
  }

  async #spawn(): Promise<void> {
    const { state } = this.#around;
    await this.#around.allocate(this.#record, (ports) => this.#set({ ports }));
    const { spec } = this.#record;
    const given = givenPorts(spec, this.#around.ports());
    const rendered = renderSpec(spec, serviceValues(this.#record, given, this.#around));
    writeServiceFiles(state.serviceFolder(spec), rendered.files);
    const held = await launch(spec, rendered, state);
    held.child.once("exit", () => this.look());
    this.#set({
      run: { ...held.identity, since: new Date().toISOString(), logOffset: held.logOffset, given },
    });
    held.release();
  }

  async #needsReady(deadline: number, signal: AbortSignal): Promise<void> {
    for (const need of this.#record.spec.needs ?? []) {
      for (;;) {
        if (signal.aborted) throw brokenOff(this.name);
        const record = this.#around.neighbour(need)?.record;
        if (record?.state === "ready") break;
        const comes =
          record?.state === "starting" || (record?.state === "stopped" && record.wanted === "running");
        if (!comes || performance.now() > deadline) throw needMissing(this.name, need, record);
        await sleep(25);
      }
    }
  }

  async #untilReady(deadline: number, signal = this.#renewAbort().signal): Promise<Readiness> {
    const { spec, ports } = this.#record;
    return await waitUntilReady(spec.ready, ports, { deadline, signal, running: () => this.#isRunning() });
  }

  async #end(): Promise<void> {
    await this.#endProcesses();
    const { run: _ended, problem: _old, ...rest } = this.#record;
    this.#record = { ...rest, state: "stopped" };
    this.#around.save();
  }

  async #endProcesses(): Promise<void> {
    const mark = markOf(this.#around.state.path, this.name);
    const grace = this.#record.spec.stopSeconds ?? defaults.stopSeconds;
    await endProcesses({ leader: this.#record.run, marked: (found) => found === mark }, grace);
  }

  async #tryAgainOnFailure(work: () => Promise<void>): Promise<void> {
    try {
      await this.#exclusive(work);
    } catch (error) {
      this.#around.log(`${this.name}: ${recorded(error).code}; tried again`);
      this.#tryAgain();
    }
  }

  #tryAgain(): void {
    if (this.#halted || this.#record.wanted !== "running") return;
    const seconds = Math.min(backoffSeconds.first * 2 ** this.#failures, backoffSeconds.most);
    this.#failures += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      void this.#tryAgainOnFailure(async () => {
        if (this.#halted || this.#record.wanted !== "running" || this.#record.state === "ready") return;
        this.#set({ restarts: this.#record.restarts + 1 });
        await this.#begin();
      });
    }, seconds * 1000);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined); // the caller hears of it; the next in the queue does not care
    return result;
  }

  #set(change: Partial<ServiceRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#around.save();
  }

  #renewAbort(): AbortController {
    this.#abort = new AbortController();
    if (this.#halted) this.#abort.abort();
    return this.#abort;
  }

  #isRunning(): boolean {
    return this.#record.run !== undefined && isAlive(this.#record.run);
  }

  #mustRestart(): boolean {
    const { spec, specHash, run, state } = this.#record;
    if (run === undefined || state !== "ready" || this.#halted) return false;
    return (
      mustRestart([{ name: spec.name, specHash, given: run.given }], [spec], this.#around.ports()).length > 0
    );
  }

  #deadline(): number {
    return performance.now() + this.#startSeconds * 1000;
  }

  get #startSeconds(): number {
    return this.#record.spec.startSeconds ?? defaults.startSeconds;
  }

  get #log(): string {
    return this.#around.state.log(this.name);
  }
}

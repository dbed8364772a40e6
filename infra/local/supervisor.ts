import { InfraError, type Problem } from "../problem.js";
import { Keeper, type Surroundings } from "./keeper.js";
import { endProcesses } from "./os-process.js";
import { specHash, startOrder } from "./plan.js";
import { PortBook } from "./port-book.js";
import { isPortFree } from "./ports.js";
import type { ServiceStatus } from "./service.js";
import { parseServiceSpec } from "./service-schema.js";
import type { ServiceRecord, StateFolder } from "./state-folder.js";

export interface SupervisorOptions {
  readonly state: StateFolder;
  /** The folder of this package. */
  readonly package: string;
  /** The folder of Pulumi.yaml. */
  readonly project: string;
  /** Path of an outside program; undefined when this machine has none. */
  readonly tool: (name: string) => string | undefined;
  readonly log: (text: string) => void;
  /** Called when the last service has been removed. */
  readonly onEmpty?: () => void;
}

/** Milliseconds between two looks at the processes; own children are noticed at once. Where there is no /proc a look costs a process. */
const lookEvery = process.platform === "linux" ? 250 : 2000;

/** Seconds that a service may take to find again one that it needs. No error after that: it is the service's own affair. */
const findAgainSeconds = 20;

/**
 * All processes of one stack. Each change is on disk before and after it is made, so that whoever comes after a kill can go on from there.
 * Only the holder of the state folder's claim may make one.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #keepers = new Map<string, Keeper>();
  readonly #around: Surroundings;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { state } = options;
    const book = new PortBook(() => this.#records());
    this.#around = {
      state,
      package: options.package,
      project: options.project,
      tool: options.tool,
      log: options.log,
      neighbour: (name) => this.#keepers.get(name),
      ports: () => new Map([...this.#keepers].map(([name, keeper]) => [name, keeper.record.ports])),
      allocate: (record, keep) => book.allocate(record, keep),
      anyInUse: async (ports) => (await Promise.all(Object.values(ports).map(isPortFree))).includes(false),
      save: () => this.#save(),
      settle: () => this.#settle(),
    };
    for (const [name, record] of state.services()) this.#keepers.set(name, new Keeper(record, this.#around));
  }

  get isEmpty(): boolean {
    return this.#keepers.size === 0;
  }

  /** Takes over what a former supervisor left: adopts, ends and starts. Answers when all that is done or being tried again. */
  async recover(): Promise<void> {
    this.#timer = setInterval(() => this.#look(), lookEvery);
    const keepers = [...this.#keepers.values()];
    for (const keeper of keepers) keeper.expectRecovery();
    await this.#endStrangers();
    await Promise.all(
      keepers.map(async (keeper) => {
        await keeper.recover();
        if (keeper.record.wanted === "gone") this.#forget(keeper);
      }),
    );
  }

  /** Registers a service and makes it ready. The same specification again changes nothing where the service is ready. */
  async put(value: unknown): Promise<ServiceStatus> {
    this.#refuseWhenClosing();
    const spec = parseServiceSpec(value);
    const specs = [...this.#records()]
      .map((record) => record.spec)
      .filter((other) => other.name !== spec.name);
    startOrder([...specs, spec]);
    const hash = specHash(spec);
    let keeper = this.#keepers.get(spec.name);
    if (keeper === undefined) {
      const record: ServiceRecord = {
        spec,
        specHash: hash,
        wanted: "running",
        state: "starting",
        ports: {},
        restarts: 0,
      };
      keeper = new Keeper(record, this.#around);
      this.#keepers.set(spec.name, keeper);
      this.#save();
    }
    await keeper.put(spec, hash);
    await this.#settle();
    await this.#foundAgain(spec.name);
    return keeper.status();
  }

  list(): ServiceStatus[] {
    return [...this.#keepers.values()].map((keeper) => keeper.status());
  }

  get(name: string): ServiceStatus {
    return this.#keeper(name).status();
  }

  /** Ends a service and removes its folder. Fine when there is none of this name. */
  async remove(name: string): Promise<void> {
    const keeper = this.#keepers.get(name);
    if (keeper === undefined) return;
    await keeper.stop("gone");
    // A PUT of the same name may have come in between; then it stays.
    if (keeper.record.wanted === "gone") this.#forget(keeper);
  }

  async stop(name: string): Promise<ServiceStatus> {
    const keeper = this.#keeper(name);
    await keeper.stop();
    return keeper.status();
  }

  async start(name: string): Promise<ServiceStatus> {
    this.#refuseWhenClosing();
    const keeper = this.#keeper(name);
    await keeper.start();
    await this.#settle();
    return keeper.status();
  }

  /** Ends exactly the services of a node, those that need others first. */
  async stopNode(node: string): Promise<ServiceStatus[]> {
    const keepers = this.#node(node);
    await this.#inOrder(keepers, "down", (keeper) => keeper.stop());
    return keepers.map((keeper) => keeper.status());
  }

  /** Starts the services of a node, those that others need first. */
  async startNode(node: string): Promise<ServiceStatus[]> {
    this.#refuseWhenClosing();
    const keepers = this.#node(node);
    await this.#inOrder(keepers, "up", (keeper) => keeper.start());
    await this.#settle();
    return keepers.map((keeper) => keeper.status());
  }

  /**
   * Ends all processes of the stack and this supervisor's work. `forget`: also the services themselves, their folders and secrets; without
   * it the next supervisor starts them again. Throws LOC-STOP-FAILED when some process remains.
   */
  async shutdown({ forget }: { readonly forget: boolean }): Promise<void> {
    this.#closing = true;
    await this.#inOrder([...this.#keepers.values()], "down", (keeper) =>
      forget ? keeper.stop("gone") : keeper.halt(),
    );
    clearInterval(this.#timer);
    await endProcesses({ marked: (mark) => mark.startsWith(this.#markPrefix()) }, 2);
    if (!forget) return;
    this.#keepers.clear();
    this.#options.state.forgetServices();
  }

  /** Ends processes that bear this stack's mark but belong to no service that is registered. */
  async #endStrangers(): Promise<void> {
    const prefix = this.#markPrefix();
    const strange = (mark: string) =>
      mark.startsWith(prefix) && !this.#keepers.has(mark.slice(prefix.length));
    await endProcesses({ marked: strange }, 2);
  }

  #markPrefix(): string {
    return `${this.#options.state.path}:`;
  }

  async #settle(): Promise<void> {
    await Promise.all([...this.#keepers.values()].map((keeper) => keeper.settle()));
  }

  /** Waits, for a while, until those that need a service have found it again: one that was gone has just come back. */
  async #foundAgain(name: string): Promise<void> {
    const users = [...this.#keepers.values()].filter((other) => other.record.spec.needs?.includes(name));
    await Promise.all(users.map((user) => user.wellAgain(findAgainSeconds)));
  }

  #look(): void {
    for (const keeper of this.#keepers.values()) keeper.look();
  }

  #records(): ServiceRecord[] {
    return [...this.#keepers.values()].map((keeper) => keeper.record);
  }

  #save(): void {
    // A folder that somebody removed is not made again: its supervisor ends (see supervisor-main).
    if (!this.#options.state.exists()) return;
    this.#options.state.saveServices(
      new Map([...this.#keepers].map(([name, keeper]) => [name, keeper.record])),
    );
  }

  #forget(keeper: Keeper): void {
    keeper.removeFolder();
    this.#keepers.delete(keeper.name);
    this.#save();
    if (this.isEmpty) this.#options.onEmpty?.();
  }

  #keeper(name: string): Keeper {
    const keeper = this.#keepers.get(name);
    if (keeper !== undefined) return keeper;
    const names = [...this.#keepers.keys()].sort().join(", ") || "none";
    throw new InfraError({
      code: "LOC-SERVICE-UNKNOWN",
      message: `no service "${name}"`,
      remedy: `services are: ${names}`,
    });
  }

  #node(node: string): Keeper[] {
    const keepers = [...this.#keepers.values()].filter((keeper) => keeper.record.spec.node === node);
    if (keepers.length > 0) return keepers;
    const nodes = [...new Set(this.#records().map((record) => record.spec.node))].sort().join(", ") || "none";
    throw new InfraError({
      code: "LOC-NODE-UNKNOWN",
      message: `no node "${node}"`,
      remedy: `nodes with services are: ${nodes}`,
    });
  }

  /** Does something to services, each after those that it needs (`up`) or that need it (`down`); the others at the same time. */
  async #inOrder(
    keepers: readonly Keeper[],
    way: "up" | "down",
    action: (keeper: Keeper) => Promise<void>,
  ): Promise<void> {
    const byName = new Map(keepers.map((keeper) => [keeper.name, keeper]));
    const order = startOrder(keepers.map((keeper) => keeper.record.spec));
    const under = way === "up" ? order : order.reverse();
    const work = new Map<string, Promise<readonly Problem[]>>();
    for (const name of under) {
      const keeper = byName.get(name);
      if (keeper === undefined) continue;
      const needs = (a: Keeper, b: Keeper) => a.record.spec.needs?.includes(b.name) ?? false;
      const before = keepers.filter((other) => (way === "up" ? needs(keeper, other) : needs(other, keeper)));
      work.set(
        name,
        Promise.all(before.map((other) => work.get(other.name))).then(async () => {
          try {
            await action(keeper);
            return [];
          } catch (error) {
            if (error instanceof InfraError) return error.problems;
            throw error;
          }
        }),
      );
    }
    const problems = (await Promise.all(work.values())).flat();
    if (problems.length > 0) throw new InfraError(problems);
  }

  #refuseWhenClosing(): void {
    if (!this.#closing) return;
    throw new InfraError({
      code: "LOC-SUPERVISOR-DOWN",
      message: "the stack's supervisor is shutting down",
      remedy: "try again in a moment",
    });
  }
}

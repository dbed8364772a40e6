import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { parse } from "yaml";
import { accessTo, type StackAccess } from "../../dynamos/runs/stack-access.js";
import { requesterToken } from "../../dynamos/runs/user-token.js";
import { isPortFree, type ServiceStatus, StateFolder, statusOf } from "../../infra/local/index.js";
import { nameOf, type Preview, TestStack, type Update } from "../support/engine.js";

/** The value of `dynamos-fabric:marketplace`. */
export interface MarketConfig {
  target: string;
  experiment: string;
  nodes: Record<string, Record<string, unknown>>;
}

const ADA = { id: "ada", userName: "ada@uva.nl" };

/** A program that has ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

const command = resolve("dist/dynamos/cli/main.js");

/** Name of the stack, and so the first part of the name of each resource. */
export const STACK = "e2e";
const PROJECT = "dynamos-fabric";

/** The paper's configuration object, fresh. */
export function paperConfig(): MarketConfig {
  const file = parse(readFileSync(resolve("Pulumi.dev.yaml"), "utf8")) as {
    config: Record<string, MarketConfig>;
  };
  const config = file.config["dynamos-fabric:marketplace"];
  if (config === undefined) throw new Error("Pulumi.dev.yaml describes no marketplace");
  return config;
}

/** The paper's marketplace in a temporary project: state and ports of its own, so that it runs beside a dev stack. */
export class TestMarket {
  readonly engine = new TestStack({
    program: `module.exports = require("dynamos-fabric/provider/dynamos/program");`,
    project: PROJECT,
    stack: STACK,
  });

  constructor() {
    symlinkSync(resolve("examples"), join(this.engine.folder, "examples"));
    this.configure(paperConfig());
  }

  get state(): string {
    return this.engine.state;
  }

  configure(config: MarketConfig): void {
    this.engine.config({ "dynamos-fabric:marketplace": config });
  }

  /** Addresses of the running stack. */
  access(): StackAccess {
    return accessTo(this.state);
  }

  services(): readonly ServiceStatus[] {
    return statusOf(this.state).services;
  }

  /** Services that are not ready. */
  down(): string[] {
    return this.services()
      .filter((s) => s.state !== "ready")
      .map((s) => s.name);
  }

  pidOf(service: string): number {
    const pid = new StateFolder(this.state).services().get(service)?.run?.pid;
    if (pid === undefined) throw new Error(`${service} has no process`);
    return pid;
  }

  supervisorPid(): number {
    const pid = new StateFolder(this.state).supervisor()?.pid;
    if (pid === undefined) throw new Error("no supervisor is on record");
    return pid;
  }

  /** Agents that the gateway can reach. */
  async online(): Promise<string[]> {
    const response = await fetch(`${this.access().gateway}/api/v1/getAvailableProviders`, {
      headers: await this.as(ADA.userName),
      signal: AbortSignal.timeout(5000),
    });
    return Object.keys((await response.json()) as object).sort();
  }

  /** The header of a user's token, from the stack's own issuer. */
  async as(user: string): Promise<{ authorization: string }> {
    return { authorization: `Bearer ${await requesterToken(this.state, user)}` };
  }

  /** A request to the gateway; its data request asks for so many rounds. */
  async request(
    change: Record<string, unknown> = {},
    rounds = 3,
  ): Promise<{ status: number; body: Record<string, unknown>; seconds: number }> {
    const type = "vflTrainRequest";
    const data = { rounds, seed: 1, learningRate: { client: 0.2, server: 0.2 } };
    const user = change.user as typeof ADA | undefined;
    const headers = {
      "content-type": "application/json",
      ...(await this.as(user?.userName ?? ADA.userName)),
    };
    const from = performance.now();
    const response = await fetch(`${this.access().gateway}/api/v1/requestApproval`, {
      method: "POST",
      headers,
      body: JSON.stringify({
        type,
        user: ADA,
        dataProviders: ["clientone", "clienttwo", "clientthree"],
        data_request: { type, data, requestMetadata: {} },
        ...change,
      }),
      signal: AbortSignal.timeout(60_000),
    });
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, seconds: (performance.now() - from) / 1000 };
  }

  /** An approved training of three rounds, to its end. */
  async train(): Promise<void> {
    const { status, body } = await this.request();
    expect(body, JSON.stringify(body)).toMatchObject({ status: "completed", rounds: 3 });
    expect(status).toBe(200);
  }

  /** Runs the built command on this project. */
  async run(args: readonly string[]): Promise<Ended> {
    const from = performance.now();
    const child = this.start(args);
    const texts = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (t: string) => (texts.stdout += t));
    child.stderr.setEncoding("utf8").on("data", (t: string) => (texts.stderr += t));
    const code = await new Promise<number>((settle) =>
      child.once("close", (c, signal) => settle(c ?? (signal === null ? 1 : 128))),
    );
    return { code, ...texts, seconds: (performance.now() - from) / 1000 };
  }

  /** Starts the built command on this project. */
  start(args: readonly string[]) {
    return spawn(process.execPath, [command, "--stack", STACK, "--cwd", this.engine.folder, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** All processes that name this stack's state folder in their command line or environment. */
  processes(): { pid: number; what: string }[] {
    const names = [this.state, existsSync(this.state) ? realpathSync(this.state) : this.state];
    return readdirSync("/proc").flatMap((entry) => {
      const pid = Number(entry);
      if (!Number.isInteger(pid) || pid === process.pid) return [];
      const said = `${proc(pid, "cmdline")}\0${proc(pid, "environ")}`;
      const ours = names.some((name) => said.includes(name));
      return ours && !isZombie(pid)
        ? [{ pid, what: proc(pid, "cmdline").replaceAll("\0", " ").slice(0, 150) }]
        : [];
    });
  }

  /** All ports that the stack has chosen. */
  ports(): number[] {
    const supervisor = new StateFolder(this.state).supervisor();
    return [
      ...this.services().flatMap((s) => Object.values(s.ports)),
      ...(supervisor === undefined ? [] : [supervisor.port]),
    ];
  }

  /** Ends the whole stack at once, as a power cut would: supervisor, servers, services, all that runs for it. */
  async killEverything(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      const left = this.processes();
      if (left.length === 0) return;
      for (const { pid } of left) kill(pid);
      await sleep(50);
    }
    throw new Error(`cannot be killed: ${JSON.stringify(this.processes())}`);
  }

  /** `down`, without which a failing test would leave a whole stack running. */
  async end(): Promise<void> {
    if (existsSync(this.state)) await this.run(["down"]);
    await this.killEverything();
    this.engine.end();
  }
}

/** The steps of a preview that change something, `op type name` each, sorted. */
export function changes(preview: Preview): string[] {
  expect(preview.code, preview.text).toBe(0);
  return preview.steps
    .filter((step) => step.op !== "same")
    .map((step) => `${step.op} ${typeOf(step.urn)} ${nameOf(step.urn)}`)
    .sort();
}

/** The steps that change nothing, `type name` each, sorted. */
export function unchanged(preview: Preview): string[] {
  return preview.steps
    .filter((step) => step.op === "same")
    .map((step) => `${typeOf(step.urn)} ${nameOf(step.urn)}`)
    .sort();
}

/** The resources after an update, `type name` each, sorted. */
export function resources(update: Update): string[] {
  // A preview shows no default provider.
  return update.resources
    .filter(({ urn }) => !urn.includes("pulumi:providers:"))
    .map(({ urn }) => `${typeOf(urn)} ${nameOf(urn)}`)
    .sort();
}

/** `fabric:Slice`, `local:Process`, `dynamos:Agent`: the last part of a resource's type. */
function typeOf(urn: string): string {
  const type = urn.split("::").at(-2)?.split("$").at(-1) ?? urn;
  return type.split(/[/:]/).slice(-2).join(":");
}

/** What the preview said beside its steps. */
export const messages = (preview: Preview): string => preview.diagnostics.map((d) => d.message).join("\n");

/** Ports of these that somebody listens at. */
export async function listening(ports: readonly number[]): Promise<number[]> {
  const free = await Promise.all(ports.map(isPortFree));
  return ports.filter((_, i) => free[i] === false);
}

/** Waits until something holds; fails with what it was instead. */
export async function until<T>(
  look: () => T | Promise<T>,
  holds: (value: T) => boolean,
  what: string,
  seconds = 60,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${seconds} s; it is ${JSON.stringify(value)}`);
    await sleep(50);
  }
}

export function kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Gone already: what SIGKILL is for.
    if (signal !== "SIGKILL" || (error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function proc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // It ended while we looked.
    return "";
  }
}

function isZombie(pid: number): boolean {
  const stat = proc(pid, "stat");
  return stat === "" || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

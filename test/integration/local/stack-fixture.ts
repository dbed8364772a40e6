import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { ServiceSpec, ServiceStatus } from "../../../infra/local/index.js";
import { shutdownStack, statusOf } from "../../../infra/local/index.js";
import { isAlive, type ProcessRow, survivors } from "../../../infra/local/os-process.js";
import type { SupervisorRecord } from "../../../infra/local/state-folder.js";

/** A stack's folders, in a path with a space; all that it runs is ended after the test, which fails if anything remains. */
export interface Fixture {
  readonly state: string;
  readonly project: string;
  /** Processes that bear this stack's mark. */
  processes(): ProcessRow[];
  status(name: string): ServiceStatus;
  supervisor(): SupervisorRecord;
}

export function newStack(): Fixture {
  const project = join(mkdtempSync(join(tmpdir(), "local-")), "a project");
  const state = join(project, ".state", "dev");
  mkdirSync(state, { recursive: true });
  const processes = () => survivors({ marked: (mark) => mark.startsWith(`${state}:`) });
  const supervisor = () =>
    JSON.parse(readFileSync(join(state, "supervisor.json"), "utf8")) as SupervisorRecord;
  onTestFinished(async () => {
    await shutdownStack(state);
    expect(processes()).toEqual([]);
    rmSync(join(project, ".."), { recursive: true });
  });
  return { state, project, processes, supervisor, status: (name) => found(statusOf(state).services, name) };
}

export function found(services: readonly ServiceStatus[], name: string): ServiceStatus {
  const status = services.find((service) => service.name === name);
  if (status === undefined) throw new Error(`no service ${name}`);
  return status;
}

/** Kills a stack's supervisor and waits until it is gone. */
export async function killSupervisor(stack: Fixture): Promise<void> {
  const record = stack.supervisor();
  process.kill(record.pid, "SIGKILL");
  await eventually(() => isAlive(record)).toBe(false);
}

/** Kills a service's process, and only that. */
export function killService(stack: Fixture, name: string): number {
  const { pid } = stack.status(name);
  if (pid === undefined) throw new Error(`${name} does not run`);
  process.kill(pid, "SIGKILL");
  return pid;
}

/** GET on a service's port `http`; the body as text. */
export async function ask(status: Pick<ServiceStatus, "ports">, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${status.ports.http}${path}`, {
    signal: AbortSignal.timeout(5000),
  });
  return await response.text();
}

/** A small web server in Node; `/env` tells its environment, `/crash` ends it, `/argv` its arguments. */
export function web(name: string, change: Partial<ServiceSpec> = {}, code = ""): ServiceSpec {
  const program = `
    const http = require("node:http");
    ${code}
    http.createServer((request, response) => {
      if (request.url === "/crash") process.exit(3);
      if (request.url === "/env") return response.end(JSON.stringify(process.env));
      response.end("ok");
    }).listen(Number(process.env.HTTP_PORT), "127.0.0.1", () => console.log("listening"));
  `;
  return {
    name,
    node: "core",
    command: ["{{node}}", "main.js"],
    ports: { http: 0 },
    ready: { http: "http", path: "/healthz" },
    startSeconds: 20,
    stopSeconds: 5,
    ...change,
    env: { HTTP_PORT: "{{port:http}}", ...change.env },
    files: [{ path: "main.js", content: program }, ...(change.files ?? [])],
  };
}

/** What is looked at until it is as expected, for at most 15 seconds: long, since the machine may be busy with other tests. */
export function eventually<T>(look: () => T) {
  return expect.poll(look, { timeout: 15_000 });
}

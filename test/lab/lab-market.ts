/** The paper's marketplace with target fabric: slice, cluster, services, from one configuration object. */
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"; // biome-ignore format: one line
import { basename, join, resolve } from "node:path";
import { expect } from "vitest";
import { accessTo, type StackAccess } from "../../dynamos/runs/stack-access.js";
import { type Preview, TestStack, type Update } from "../support/engine.js";
import { LabIssuer } from "./issuer.js";
import type { Lab } from "./lab.js";
import { serverImages, serverReferences } from "./server-images.js";
import { serviceImages } from "./service-images.js";

const STACK = "lab";
const EXPERIMENT = "experiment";
const titanic = resolve("examples/titanic");
const command = resolve("dist/dynamos/cli/main.js");

/** Who sends requests. */
export const ADA = { id: "ada", userName: "ada@uva.nl" };

/** A pod as this test looks at it. */
export interface PodSeen {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly ready: boolean;
  readonly readyAt: number;
}

export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export class LabMarket {
  readonly #lab: Lab;
  readonly #issuer: LabIssuer;
  readonly #servers: string;
  readonly engine: TestStack;

  private constructor(lab: Lab, issuer: LabIssuer, servers: string) {
    this.#lab = lab;
    this.#issuer = issuer;
    this.#servers = servers;
    this.engine = new TestStack({
      program: `module.exports = require("dynamos-fabric/provider/dynamos/program");`,
      project: "dynamos-fabric",
      stack: STACK,
      env: lab.env,
    });
  }

  /** With its images, which takes a minute and a half. */
  static async open(lab: Lab): Promise<LabMarket> {
    const market = new LabMarket(lab, await LabIssuer.start(lab.testbed), await serverImages());
    const project = market.engine.folder;
    cpSync(titanic, join(project, EXPERIMENT), { recursive: true });
    await serviceImages(project, EXPERIMENT);
    return market;
  }

  /** The nodes that are wanted from now on: role and site, `agent LOSA`. */
  wants(nodes: Readonly<Record<string, string>>): void {
    const server = (name: "broker" | "store") => ({
      image: serverReferences[name],
      archive: join(this.#servers, `${name}.tar`),
    });
    const marketplace = {
      target: "fabric",
      experiment: EXPERIMENT,
      nodes: Object.fromEntries(
        Object.entries(nodes).map(([name, text]) => {
          const [role, site] = text.split(" ");
          return [name, { role, site, image: "default_ubuntu_24" }];
        }),
      ),
      users: { issuer: this.#issuer.url, caFile: this.#issuer.caFile },
      cluster: this.#lab.kubespray,
      kubernetes: {
        images: {
          from: "archive",
          references: { broker: server("broker"), store: server("store") },
          ctr: join(this.#lab.programs.node, "ctr"),
        },
      },
    };
    this.engine.config({ "dynamos-fabric:marketplace": marketplace });
    // Only parties that are there have an agreement.
    const agreements = join(this.engine.folder, EXPERIMENT, "agreements");
    rmSync(agreements, { recursive: true });
    mkdirSync(agreements);
    for (const file of readdirSync(join(titanic, "agreements")))
      if (nodes[basename(file, ".json")] !== undefined)
        copyFileSync(join(titanic, "agreements", file), join(agreements, file));
  }

  get kubeconfig(): string {
    return join(this.#lab.testbed.folder, "kubeconfig");
  }

  async up(): Promise<Update> {
    const done = await this.engine.up();
    expect(done.code, done.text.slice(-8000)).toBe(0);
    writeFileSync(this.kubeconfig, String(done.outputs.kubeconfig), { mode: 0o600 });
    return done;
  }

  async preview(): Promise<Preview> {
    const done = await this.engine.preview();
    expect(done.code, done.text.slice(-8000)).toBe(0);
    return done;
  }

  /** What kubectl tells, as JSON. */
  async kubectl<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.#lab.kubectl(this.kubeconfig, ...args, "-o", "json");
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  }

  /** Pods of the marketplace that have not ended. */
  async pods(): Promise<readonly PodSeen[]> {
    const { items } = await this.kubectl<{ readonly items: readonly Pod[] }>("get", "pods", "-A", "-l", "app.kubernetes.io/part-of=dynamos-fabric"); // biome-ignore format: one line
    return items
      .filter(({ status }) => status.phase !== "Succeeded" && status.phase !== "Failed")
      .map(({ metadata: { name, namespace }, spec, status }) => {
        const ready = status.conditions?.find(({ type }) => type === "Ready");
        return {
          namespace,
          name,
          node: spec.nodeName ?? "",
          ready: ready?.status === "True",
          readyAt: Date.parse(ready?.lastTransitionTime ?? ""),
        };
      });
  }

  access(): StackAccess {
    return accessTo(this.engine.state);
  }

  async token(): Promise<string> {
    return await this.#issuer.token(ADA.userName);
  }

  /** A training of so many rounds, by the gateway. */
  async train(providers: readonly string[], rounds = 3, seed = 1): Promise<Answered> {
    const response = await fetch(`${this.access().gateway}/api/v1/requestApproval`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${await this.token()}` },
      body: JSON.stringify(trainRequest(providers, rounds, seed)),
      signal: AbortSignal.timeout(180_000),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** Runs the built command on this project. */
  async run(args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
    const env = { ...process.env, ...this.#lab.env, DYNAMOS_FABRIC_TOKEN: await this.token() };
    const whole = [command, "--stack", STACK, "--cwd", this.engine.folder, ...args];
    const child = spawn(process.execPath, whole, { env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
    const code = await new Promise<number>((done) => child.once("close", (status) => done(status ?? 1)));
    return { code, text };
  }
}

/** A request for a training of so many rounds. */
export function trainRequest(dataProviders: readonly string[], rounds = 3, seed = 1): object {
  const type = "vflTrainRequest";
  const data = { rounds, seed, learningRate: { client: 0.2, server: 0.2 } };
  return { type, user: ADA, dataProviders, data_request: { type, data, requestMetadata: {} } };
}

interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime: string;
    }[];
  };
}

/** Emulated FABRIC hosts at several sites behind a bastion, and the steps of a cluster run on them by the real ssh. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, parseHost } from "../../../infra/cluster/spec.js";
import type { Step } from "../../../infra/cluster/steps.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { writeSshConfig } from "../../../infra/fabric/ssh-config.js";
import type { Executed } from "../../../infra/toolchain/execute.js";
import { fabnetSlice } from "../../unit/emulator/graphs.js";
import { HostsLab } from "../emulator/hosts-lab.js";
import { takeWheels } from "./ansible.js";

/** Nodes by name, each at its site. The first is the control node. */
export type Sites = Readonly<Record<string, string>>;

export class ClusterLab {
  readonly hosts: HostsLab;
  readonly #ssh: string;
  #slice = "";
  #sites: Sites = {};
  #all: Record<string, Host> = {};

  constructor(program: string, ssh: string, folder: string, management: "ipv4" | "ipv6" = "ipv4") {
    this.#ssh = ssh;
    this.hosts = new HostsLab(program, ssh, folder, ["--hosts", "namespaces", "--management", management]);
  }

  async start(sites: Sites): Promise<void> {
    await this.hosts.start();
    this.#slice = await this.hosts.create("cluster", this.#graph(sites));
    await this.#settle(sites);
  }

  /** Other nodes: those that are not named any more go, as when a slice is changed. */
  async change(sites: Sites): Promise<void> {
    await this.hosts.modify(this.#slice, this.#graph(sites));
    await this.hosts.hostsAre("up");
    await this.#settle(sites);
  }

  #graph(sites: Sites) {
    return fabnetSlice(Object.entries(sites).map(([name, site]) => ({ name, site })));
  }

  async #settle(sites: Sites): Promise<void> {
    const before = this.#sites;
    this.#sites = sites;
    const { nodes, networks } = fromGraph(await this.hosts.graph(this.#slice));
    const { bastion } = this.hosts.record;
    this.#all = Object.fromEntries(
      Object.keys(sites).map((name, index) => {
        const node = nodes.find((n) => n.name === name);
        const network = networks.find((n) => n.name === node?.network);
        const { address, user, port } = this.hosts.host(name);
        const host = parseHost(name, {
          role: index === 0 ? "control" : "worker",
          ...{ address, user, port },
          privateKey: readFileSync(join(this.hosts.folder, "slice key"), "utf8"),
          bastion: { host: bastion.host, port: bastion.port, user: bastion.user, privateKey: readFileSync(bastion.keyFile, "utf8") }, // biome-ignore format: one line
          dataAddress: node?.dataAddress,
          network: {
            mac: node?.mac,
            subnet: network?.subnet,
            routes: [{ to: "10.128.0.0/10", via: network?.gateway }],
          },
          reset: false,
        });
        return [name, host];
      }),
    );
    const fresh = Object.keys(sites).filter((name) => before[name] === undefined);
    const command = await takeWheels();
    await Promise.all(fresh.map((name) => this.on(name, command)));
  }

  /** All hosts, the control node first; resolved as a component would. */
  all(change: (name: string, host: Host) => Partial<Host> = () => ({})): Record<string, Host> {
    return this.some(Object.keys(this.#all), change);
  }

  /** The hosts of these names, as {@link all}. */
  some(
    names: readonly string[],
    change: (name: string, host: Host) => Partial<Host> = () => ({}),
  ): Record<string, Host> {
    return Object.fromEntries(
      Object.entries(this.#all)
        .filter(([name]) => names.includes(name))
        .map(([name, host]) => [name, { ...host, ...change(name, host) }]),
    );
  }

  /** What a remote command does: the step's script for a shell on the host. */
  async run(host: string, step: Step, argument: "do" | "undo" = "do", seconds = 200): Promise<Executed> {
    const { done } = this.begin(host, step, argument, seconds);
    return await done;
  }

  /** As {@link run}, to be broken off. `cut` kills the connection on this side. */
  begin(
    host: string,
    step: Step,
    argument: "do" | "undo" = "do",
    seconds = 200,
  ): { done: Promise<Executed>; cut: () => void; said: () => string } {
    const child = spawn(
      this.#ssh,
      ["-F", this.#config(), "-o", "BatchMode=yes", host, `bash -s -- ${argument}`],
      {
        stdio: ["pipe", "pipe", "pipe"],
      },
    );
    const out = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      out.stderr += text;
    });
    child.stdin.on("error", () => {}); // it was cut
    child.stdin.end(step.script);
    const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    const done = new Promise<Executed>((settle) => {
      child.once("close", (code) => {
        clearTimeout(timer);
        settle({ code: code ?? 137, ...out });
      });
    });
    return { done, cut: () => void child.kill("SIGKILL"), said: () => out.stdout };
  }

  #config(): string {
    const file = join(this.hosts.folder, "cluster ssh_config");
    this.writeConfig(file);
    return file;
  }

  /** The ssh_config that a slice has. */
  writeConfig(file: string): void {
    const { bastion, hosts } = this.hosts.record;
    writeSshConfig(
      file,
      hosts,
      {
        sliceKeyFile: join(this.hosts.folder, "slice key"),
        knownHostsFile: join(this.hosts.folder, "known hosts"),
      },
      bastion,
    );
  }

  /** A command on a host that must succeed. */
  async on(host: string, command: string): Promise<string> {
    return await this.hosts.on(host, command);
  }
}

/** The ssh_config of a slice: every node by its name, through the bastion. Pure but for {@link writeSshConfig}. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { writeFileAtomic } from "../local/state-folder.js";
import { InfraError, type Problem } from "../problem.js";

/** One machine to log in to. */
export interface SshHost {
  /** How it is called on the command line; on FABRIC the node's name. */
  readonly name: string;
  /** IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  /** e.g. `ubuntu`, see {@link loginOf}. */
  readonly user: string;
  /** Default 22. */
  readonly port?: number;
  /**
   * Under which name its host key is remembered: something that a new machine at the same address does not share, such as the id of its sliver.
   * Default: its address.
   */
  readonly hostKeyAlias?: string;
}

/** The machine that all logins pass through. */
export interface SshBastion {
  /** Name or address, e.g. `bastion.fabric-testbed.net`. */
  readonly host: string;
  readonly user: string;
  /** The private key's file, absolute. */
  readonly keyFile: string;
  /** Default 22. */
  readonly port?: number;
}

/** Files, absolute. */
export interface SshKeys {
  /** The private key of the slice. */
  readonly sliceKeyFile: string;
  /** Where host keys are remembered. Default: the person's own known_hosts. */
  readonly knownHostsFile?: string;
  /** Where the configuration itself will lie; needed only when that path has characters that a shell takes apart. */
  readonly configFile?: string;
}

/**
 * The user that FABRIC's images are logged in to with. Source: FABlib, `FablibManager.get_image_names` and `Node.__set_username`.
 * An image that is not known there is taken for one of Ubuntu's kind.
 */
export function loginOf(image: string): string {
  const name = image.toLowerCase();
  if (/centos_?(9|10)/.test(name)) return "cloud-user";
  return (
    ["rocky", "centos", "debian", "fedora", "freebsd", "openbsd", "kali"].find((family) =>
      name.includes(family),
    ) ?? "ubuntu"
  );
}

/**
 * The text of an ssh_config by which `ssh -F FILE NODE` logs in to each host through the bastion, by key only.
 *
 * @throws InfraError `FAB-SSH-CONFIG`, one problem for each name, address or path that ssh_config cannot carry
 */
export function sshConfig(hosts: readonly SshHost[], keys: SshKeys, bastion: SshBastion): string {
  const problems = [...faults(hosts, keys, bastion)];
  if (problems.length > 0) throw new InfraError(problems);
  const jump = `${bastion.user}@${bracketed(bastion.host)}:${bastion.port ?? 22}`;
  const common = [
    ...(keys.knownHostsFile === undefined ? [] : [`UserKnownHostsFile ${quoted(keys.knownHostsFile)}`]),
    // A key is taken on trust once and must stay the same from then on; a node that was replaced has another alias.
    "StrictHostKeyChecking accept-new",
    "IdentitiesOnly yes",
    "PasswordAuthentication no",
    "ConnectTimeout 20",
    "ServerAliveInterval 30",
  ];
  const blocks = [
    block(bastion.host, [
      `User ${bastion.user}`,
      `Port ${bastion.port ?? 22}`,
      `IdentityFile ${quoted(bastion.keyFile)}`,
      ...common,
    ]),
    ...hosts.map((host) =>
      block(host.name, [
        `HostName ${host.address}`,
        `User ${host.user}`,
        `Port ${host.port ?? 22}`,
        ...(host.hostKeyAlias === undefined ? [] : [`HostKeyAlias ${host.hostKeyAlias}`]),
      ]),
    ),
    block(`* !${bastion.host}`, [
      through(jump, bastion, keys.configFile),
      `IdentityFile ${quoted(keys.sliceKeyFile)}`,
      ...common,
    ]),
  ];
  return `# Written by dynamos-fabric; changes are lost. ssh -F THIS_FILE NODE\n\n${blocks.join("\n")}`;
}

/**
 * Writes {@link sshConfig} to a file that only its owner reads.
 *
 * @throws InfraError `FAB-SSH-CONFIG`
 */
export function writeSshConfig(
  file: string,
  hosts: readonly SshHost[],
  keys: Omit<SshKeys, "configFile">,
  bastion: SshBastion,
): void {
  const text = sshConfig(hosts, { ...keys, configFile: file }, bastion);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileAtomic(file, text);
}

/**
 * ssh hands the configuration's path to the shell unquoted when it starts the jump (OpenSSH 9.2, ssh.c), so a path with a space breaks ProxyJump; the
 * command that ProxyJump stands for can be quoted.
 */
function through(jump: string, bastion: SshBastion, configFile: string | undefined): string {
  if (configFile === undefined || /^[\w./+:@,-]*$/.test(configFile)) return `ProxyJump ${jump}`;
  const file = `'${configFile.replaceAll("%", "%%").replaceAll("'", `'\\''`)}'`;
  return `ProxyCommand ssh -F ${file} -W '[%h]:%p' ${bastion.host}`;
}

function block(pattern: string, lines: readonly string[]): string {
  return `Host ${pattern}\n${lines.map((line) => `    ${line}\n`).join("")}`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** In quotes a space is kept; `%` would begin a token. */
function quoted(path: string): string {
  return `"${path.replaceAll("%", "%%")}"`;
}

function* faults(hosts: readonly SshHost[], keys: SshKeys, bastion: SshBastion): Iterable<Problem> {
  const fault = (path: string, message: string, remedy: string): Problem => ({
    code: "FAB-SSH-CONFIG",
    path,
    message,
    remedy,
  });
  const word = /^[\w.:-]+$/;
  const names = new Set<string>([bastion.host]);
  const check = function* (path: string, value: string): Iterable<Problem> {
    if (!word.test(value) || value.startsWith("-"))
      yield fault(
        path,
        `${JSON.stringify(value)} cannot stand in an ssh_config`,
        "use letters, digits, . - _",
      );
  };
  yield* check("bastion.host", bastion.host);
  yield* check("bastion.user", bastion.user);
  for (const host of hosts) {
    const at = `hosts.${host.name}`;
    yield* check(at, host.name);
    yield* check(`${at}.address`, host.address);
    yield* check(`${at}.user`, host.user);
    if (host.hostKeyAlias !== undefined) yield* check(`${at}.hostKeyAlias`, host.hostKeyAlias);
    if (names.has(host.name)) yield fault(at, "two machines of one name", "give each its own name");
    names.add(host.name);
  }
  const files = { "bastion.keyFile": bastion.keyFile, ...keys };
  for (const [path, file] of Object.entries(files)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a line of the file cannot hold
    if (file !== undefined && (/["\\\u0000-\u001f]|\$\{/.test(file) || file === ""))
      yield fault(
        path,
        `${JSON.stringify(file)} cannot stand in an ssh_config`,
        "move the file to a path without quotes, backslashes and ${",
      );
  }
}

/** What a log-in to a FABRIC node takes, read and checked before it is needed: ssh itself would say far less. */
import { readFileSync, statSync } from "node:fs";
import { InfraError, type Problem } from "../problem.js";
import type { FabricSettings } from "./credentials.js";

/** Files are absolute paths; they exist and only their owner can read the private ones. */
export interface SshCredentials {
  /** The machine that all log-ins pass through. `port`: 22 where there is none. */
  readonly bastion: {
    readonly host: string;
    readonly user: string;
    readonly keyFile: string;
    readonly port?: number;
  };
  /** The private key of the slice's nodes. */
  readonly sliceKeyFile: string;
  /** Nodes that are logged in to otherwise than FABRIC's are, by their sliver's id: the emulator's. */
  readonly logins?: Readonly<Record<string, { readonly user: string; readonly port: number }>>;
}

const where = "https://portal.fabric-testbed.net/experiments#sshKeys";

/**
 * The bastion's and the slice's keys from the settings.
 *
 * @throws InfraError one problem for each that is wrong: FAB-BASTION-USER no user name; FAB-KEY-MISSING; FAB-KEY-OPEN others can read it, which ssh
 * refuses; FAB-KEY-INVALID no private key; FAB-KEY-SAME one key for both, which FABRIC refuses
 */
export function readSshCredentials(settings: FabricSettings): SshCredentials {
  const { bastionHost, bastionUser, bastionKeyFile, privateKeyFile } = settings;
  const problems: Problem[] = [
    ...(bastionUser === undefined ? [noUser] : []),
    ...privateKeyProblems(bastionKeyFile, "the bastion's key", "FABRIC_BASTION_KEY_LOCATION"),
    ...privateKeyProblems(privateKeyFile, "the slice's private key", "FABRIC_SLICE_PRIVATE_KEY_FILE"),
    ...(bastionKeyFile === privateKeyFile ? [sameKey(bastionKeyFile)] : []),
  ];
  if (problems.length > 0 || bastionUser === undefined) throw new InfraError(problems);
  return {
    bastion: { host: bastionHost, user: bastionUser, keyFile: bastionKeyFile },
    sliceKeyFile: privateKeyFile,
  };
}

/**
 * The public key that a slice's nodes get, one line.
 *
 * @throws InfraError FAB-KEY-MISSING; FAB-KEY-INVALID: a private key, say, which must not leave this machine
 */
export function readPublicKey(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new InfraError(missing(file, "the slice's public key", "FABRIC_SLICE_PUBLIC_KEY_FILE", error));
  }
  // what OpenSSH writes; a private key, or a file of something else, must not be sent as a public one
  if (/^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-[\w@.-]+) [A-Za-z0-9+/=]+( [^\r\n]*)?$/.test(text))
    return text; // biome-ignore format: one line
  throw new InfraError({
    code: "FAB-KEY-INVALID",
    file,
    message: /PRIVATE KEY/.test(text)
      ? "this is a private key; the public one is needed"
      : "this is no public key of SSH",
    remedy: "name the file that ends with .pub as FABRIC_SLICE_PUBLIC_KEY_FILE in fabric_rc",
  });
}

function privateKeyProblems(file: string, what: string, variable: string): readonly Problem[] {
  let mode: number;
  let text: string;
  try {
    mode = statSync(file).mode & 0o777;
    text = readFileSync(file, "utf8");
  } catch (error) {
    return [missing(file, what, variable, error)];
  }
  const open: Problem = {
    code: "FAB-KEY-OPEN",
    file,
    message: `${what} can be read by others (mode ${mode.toString(8).padStart(4, "0")}); ssh would not use it`,
    remedy: `chmod 600 ${file}`,
  };
  const invalid: Problem = {
    code: "FAB-KEY-INVALID",
    file,
    message: `${what}: the file holds no private key`,
    remedy: `name the private key, without .pub, as ${variable} in fabric_rc`,
  };
  return [
    ...((mode & 0o077) === 0 || process.platform === "win32" ? [] : [open]),
    ...(/^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(text) ? [] : [invalid]),
  ];
}

function missing(file: string, what: string, variable: string, error: unknown): Problem {
  return {
    code: "FAB-KEY-MISSING",
    file,
    message: `${what} cannot be read: ${(error as Error).message}`,
    remedy: `name it as ${variable} in fabric_rc; keys are made at ${where}`,
  };
}

const noUser: Problem = {
  code: "FAB-BASTION-USER",
  message: "no user name at FABRIC's bastion",
  remedy: `set FABRIC_BASTION_USERNAME in fabric_rc to the bastion login that ${where} shows`,
};

function sameKey(file: string): Problem {
  return {
    code: "FAB-KEY-SAME",
    file,
    message: "the bastion and the slice have one key between them, which FABRIC does not take",
    remedy: "give the slice a key of its own as FABRIC_SLICE_PRIVATE_KEY_FILE in fabric_rc",
  };
}

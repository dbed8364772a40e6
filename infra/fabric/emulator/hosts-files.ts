/** Folders and keys of emulated hosts on disk. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSshKeyPair } from "../ssh-key-pair.js";

/** Texts to write below a host's folder; those named `bin/...` and `*.sh` may be run. */
export type HostFiles = Readonly<Record<string, string>>;

/** Writes a host's files and makes its host key on first use. Readable by nobody else. */
export function writeHostFiles(folder: string, files: HostFiles): void {
  mkdirSync(join(folder, "home"), { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
    // everybody may read a system's passwd and hosts; the rest is nobody's business
    const mode = /^bin\/|\.sh$/.test(name) ? 0o755 : /^(passwd|hosts)$/.test(name) ? 0o644 : 0o600;
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
  }
  ensureKey(join(folder, "host_key"), "host key of an emulated node");
}

/** authorized_keys of these lines. */
export function authorizedKeys(keys: readonly string[]): string {
  return keys.map((key) => `${key.trim()}\n`).join("");
}

/** The private key's path; it and `.pub` beside it are made on first use. */
export function ensureKey(file: string, comment: string): string {
  if (existsSync(file) && existsSync(`${file}.pub`)) return file;
  const pair = makeSshKeyPair(comment);
  mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
  rmSync(file, { force: true });
  writeFileSync(file, pair.privateKey, { mode: 0o600 });
  writeFileSync(`${file}.pub`, `${pair.publicKey}\n`, { mode: 0o644 });
  return file;
}

export function publicKeyOf(file: string): string {
  return readFileSync(`${file}.pub`, "utf8").trim();
}

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { standIn } from "./engine-go.js";

/** The version of `@pulumi/command` that this package works with. */
export const commandVersion = "1.2.1";
const text = standIn("command/plugin.js");

/**
 * Puts our stand-in for the command plugin into the engine's folder of plugins, where the engine looks after PATH: an official plugin of the
 * user's on PATH is used before it. Away again for an engine that fetches the official one, and never over an official one.
 *
 * @param home PULUMI_HOME
 * @param wanted whether the engine can fetch no plugins
 */
export function placeCommandPlugin(home: string, wanted: boolean): void {
  const folder = join(home, "plugins", `resource-command-v${commandVersion}`);
  const program = join(folder, "pulumi-resource-command");
  if (existsSync(program)) {
    const isOurs = statSync(program).size === Buffer.byteLength(text);
    if (!wanted && isOurs) rmSync(folder, { recursive: true, force: true });
    return;
  }
  if (!wanted) return;
  mkdirSync(join(home, "plugins"), { recursive: true, mode: 0o700 });
  const draft = mkdtempSync(join(home, "command-"));
  try {
    writeFileSync(join(draft, "pulumi-resource-command"), text);
    chmodSync(join(draft, "pulumi-resource-command"), 0o755);
    chmodSync(draft, 0o755);
    renameSync(draft, folder);
  } catch (error) {
    // Another run was first.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

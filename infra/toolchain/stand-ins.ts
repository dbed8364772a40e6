import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { standIn } from "./engine-go.js";

/** Plugins that we have a stand-in for, with the version that this package was made with. */
const plugins = { command: "1.2.1", kubernetes: "4.34.2" } as const;
type Plugin = keyof typeof plugins;

/**
 * Puts our stand-ins for plugins into the engine's folder of plugins, where the engine looks after PATH: an official plugin of the user's on PATH
 * is used before it. Away again for an engine that fetches the official ones, and never over an official one.
 *
 * @param home PULUMI_HOME
 * @param project its installed packages say which versions the engine looks for
 * @param wanted whether the engine can fetch no plugins
 */
export function placeStandIns(home: string, project: string, wanted: boolean): void {
  for (const plugin of Object.keys(plugins) as Plugin[])
    place(home, plugin, versionIn(project, plugin), wanted);
}

function versionIn(project: string, plugin: Plugin): string {
  try {
    const file = createRequire(join(project, "x.js")).resolve(`@pulumi/${plugin}/package.json`);
    return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
  } catch {
    return plugins[plugin]; // not a package of the project's own
  }
}

function place(home: string, plugin: Plugin, version: string, wanted: boolean): void {
  const text = standIn(`${plugin}/plugin.js`);
  const name = `pulumi-resource-${plugin}`;
  const folder = join(home, "plugins", `resource-${plugin}-v${version}`);
  const program = join(folder, name);
  if (existsSync(program)) {
    const isOurs = statSync(program).size === Buffer.byteLength(text);
    if (!wanted && isOurs) rmSync(folder, { recursive: true, force: true });
    return;
  }
  if (!wanted) return;
  mkdirSync(join(home, "plugins"), { recursive: true, mode: 0o700 });
  const draft = mkdtempSync(join(home, `${plugin}-`));
  try {
    writeFileSync(join(draft, name), text);
    chmodSync(join(draft, name), 0o755);
    chmodSync(draft, 0o755);
    renameSync(draft, folder);
  } catch (error) {
    // Another run was first.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

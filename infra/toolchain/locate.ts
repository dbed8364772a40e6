import { accessSync, constants, globSync, realpathSync, statSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { cacheFolder, type Environment } from "./cache.js";

/** Programs a stack on this machine is run by. */
export type ToolName = "pulumi" | "rabbitmq-server" | "epmd" | "etcd" | "ssh" | "sshd" | "buildah";

/** Where a program was found: among the user's own, or in our cache folder. */
export interface Located {
  readonly path: string;
  readonly where: "PATH" | "cache";
}

/** Folders of the cache whose `bin` holds programs. */
export const cacheUnits = {
  pulumi: "engine",
  "rabbitmq-server": "servers",
  epmd: "servers",
  etcd: "servers",
  ssh: "openssh",
  sshd: "openssh",
  buildah: "buildah",
} as const;

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** First executable file of that name on PATH. */
export function onPath(name: string, env: Environment): string | undefined {
  return (env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/**
 * The path of a program, from PATH or the cache folder, or `undefined`. Reads the file system only; starts and installs nothing.
 * A `pulumi` without its language host, and a broker without Erlang's port mapper, do not count.
 */
export function locate(name: ToolName, env: Environment = process.env): string | undefined {
  return find(name, env)?.path;
}

/** As {@link locate}, with the place it was found in. */
export function find(name: ToolName, env: Environment = process.env): Located | undefined {
  const own = usable(name, env);
  if (own !== undefined) return { path: own, where: "PATH" };
  const cached = join(cacheFolder(env), cacheUnits[name], "bin", name);
  return isExecutable(cached) ? { path: cached, where: "cache" } : undefined;
}

function usable(name: ToolName, env: Environment): string | undefined {
  // A server's folder is not on everybody's PATH.
  const path =
    onPath(name, env) ?? (name === "sshd" ? onPath(name, { PATH: "/usr/sbin:/usr/local/sbin" }) : undefined);
  if (path === undefined) return undefined;
  if (name === "pulumi") {
    const host = join(dirname(realpathSync(path)), "pulumi-language-nodejs");
    return isExecutable(host) || onPath("pulumi-language-nodejs", env) !== undefined ? path : undefined;
  }
  if (name === "rabbitmq-server") {
    return onPath("epmd", env) === undefined || onPath("erl", env) === undefined
      ? undefined
      : unwrapped(path);
  }
  return path;
}

/** Debian's `rabbitmq-server` is a wrapper that changes to another user; the script behind it does not. */
function unwrapped(path: string): string | undefined {
  const real = realpathSync(path);
  if (basename(real) !== "rabbitmq-script-wrapper" && !real.startsWith("/usr/sbin/")) return path;
  return globSync("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server").sort().at(-1);
}

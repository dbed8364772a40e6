import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The one folder for everything downloaded or built, shared by all clones of a user and removed by `clean`:
 * `$DYNAMOS_FABRIC_CACHE`, else `$XDG_CACHE_HOME/dynamos-fabric`, else `~/.cache/dynamos-fabric`.
 * A relative XDG_CACHE_HOME is ignored, as the XDG base directory specification asks.
 */
export function cacheFolder(env: Environment = process.env): string {
  const own = env.DYNAMOS_FABRIC_CACHE;
  if (own !== undefined && own !== "") return resolve(own);
  const xdg = env.XDG_CACHE_HOME;
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "dynamos-fabric");
  return join(env.HOME || homedir(), ".cache", "dynamos-fabric");
}

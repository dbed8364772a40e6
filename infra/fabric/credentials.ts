/** Where FABRIC's credentials are and what they say, from the files that FABlib uses. Tokens are read here and never become a resource's input. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { InfraError } from "../problem.js";

/** Settings of a FABRIC user, from fabric_rc or the environment. */
export interface FabricSettings {
  /** The orchestrator. Default `orchestrator.fabric-testbed.net`. */
  readonly host: string;
  /** Default `~/.tokens.json`. */
  readonly tokenFile: string;
  readonly projectId?: string;
  /** The public key that slices get. Default `~/work/fabric_config/slice_key.pub`. */
  readonly publicKeyFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** FABlib's defaults. Source: fabrictestbed-extensions, fablib/constants.py. */
const defaults = {
  rc: "~/work/fabric_config/fabric_rc",
  host: "orchestrator.fabric-testbed.net",
  tokenFile: "~/.tokens.json",
  publicKeyFile: "~/work/fabric_config/slice_key.pub",
} as const;

/**
 * Reads fabric_rc as FABlib does: its values before those of the environment, then defaults.
 *
 * @param rc the file; `~` is the home folder. Default `~/work/fabric_config/fabric_rc`, which may be missing
 * @throws InfraError FAB-RC-MISSING when a file that was named cannot be read
 */
export function readSettings(rc?: string, env: Environment = process.env): FabricSettings {
  const file = expandHome(rc ?? defaults.rc, env);
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (rc !== undefined) {
      throw new InfraError({
        code: "FAB-RC-MISSING",
        file,
        message: `fabric_rc cannot be read: ${(error as Error).message}`,
        remedy: "name the file that FABlib uses",
      });
    }
  }
  const settings = parseRc(text, env);
  const value = (name: string) => nonEmpty(settings[name]) ?? nonEmpty(env[name]);
  const projectId = value("FABRIC_PROJECT_ID");
  return {
    host: value("FABRIC_ORCHESTRATOR_HOST") ?? defaults.host,
    tokenFile: expandHome(value("FABRIC_TOKEN_LOCATION") ?? defaults.tokenFile, env),
    publicKeyFile: expandHome(value("FABRIC_SLICE_PUBLIC_KEY_FILE") ?? defaults.publicKeyFile, env),
    ...(projectId === undefined ? {} : { projectId }),
  };
}

/** The `export NAME=value` lines of a shell file; quotes are removed, `$HOME` and earlier names are filled in. Nothing is run. */
export function parseRc(text: string, env: Environment = process.env): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line);
    if (match === null) continue;
    const [, name = "", raw = ""] = match;
    const quoted = /^\s*(["'])(.*)\1\s*$/.exec(raw);
    const plain = quoted?.[2] ?? raw.replace(/\s+#.*$/, "").trim();
    const fill = quoted?.[1] !== "'";
    values[name] = fill
      ? plain.replace(
          /\$\{(\w+)\}|\$(\w+)/g,
          (_, a?: string, b?: string) => values[a ?? b ?? ""] ?? env[a ?? b ?? ""] ?? "",
        )
      : plain;
  }
  return values;
}

/** `~/x` below the home folder. A relative path is from the working folder. */
export function expandHome(path: string, env: Environment = process.env): string {
  const home = nonEmpty(env.HOME) ?? homedir();
  if (path === "~") return home;
  if (path.startsWith("~/")) return join(home, path.slice(2));
  return isAbsolute(path) ? path : resolve(path);
}

/**
 * The id token of a token file: `{"id_token", "refresh_token", "created_at"}`, or the token's text alone.
 *
 * @throws InfraError FAB-TOKEN-MISSING, FAB-TOKEN-INVALID, FAB-TOKEN-EXPIRED; none holds the token
 */
export function readToken(file: string, now: Date = new Date()): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : (error as Error).message;
    throw new InfraError({
      code: "FAB-TOKEN-MISSING",
      file,
      message: `no FABRIC token: ${why}`,
      remedy:
        "get one at https://cm.fabric-testbed.net and name its file as FABRIC_TOKEN_LOCATION in fabric_rc",
    });
  }
  const token = text.startsWith("{") ? idToken(text) : text;
  if (token === undefined || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) {
    throw new InfraError({
      code: "FAB-TOKEN-INVALID",
      file,
      message: "the file holds no id_token",
      remedy: "get a new token at https://cm.fabric-testbed.net",
    });
  }
  const { exp } = tokenClaims(token);
  if (typeof exp === "number" && exp * 1000 <= now.getTime()) {
    const ended = new Date(exp * 1000).toISOString();
    throw new InfraError({
      code: "FAB-TOKEN-EXPIRED",
      file,
      message: `the FABRIC token expired at ${ended}`,
      remedy: "get a new one at https://cm.fabric-testbed.net",
    });
  }
  return token;
}

function idToken(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const token =
      typeof value === "object" && value !== null ? (value as Record<string, unknown>).id_token : undefined;
    return typeof token === "string" ? token : undefined;
  } catch {
    return undefined; // the caller says what is wrong, without quoting a file that may hold a token
  }
}

/** The claims of a token, unverified: for messages and checks ahead only, the server decides. Empty for what is no JWT. */
export function tokenClaims(token: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The rights of the token's first project, e.g. `VM.NoLimitCPU`; undefined when the token does not say. */
export function projectTags(token: string): readonly string[] | undefined {
  const { projects } = tokenClaims(token);
  const first: unknown = Array.isArray(projects) ? projects[0] : undefined;
  const tags =
    typeof first === "object" && first !== null ? (first as Record<string, unknown>).tags : undefined;
  return Array.isArray(tags) ? tags.filter((t) => typeof t === "string") : undefined;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : value;
}

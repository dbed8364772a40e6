/** Where FABRIC's credentials are and what they say, from the files that FABlib uses. Tokens are read here and never become a resource's input. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { InfraError } from "../problem.js";
import { tokenClaims } from "./token-file.js";

/** Settings of a FABRIC user, from fabric_rc or the environment. */
export interface FabricSettings {
  /** The orchestrator. Default `orchestrator.fabric-testbed.net`. */
  readonly host: string;
  /** Default `~/.tokens.json`. */
  readonly tokenFile: string;
  readonly projectId?: string;
  /** The credential manager. Default `cm.fabric-testbed.net`. */
  readonly credmgrHost: string;
  /** The public key that slices get. Default `~/work/fabric_config/slice_key.pub`. */
  readonly publicKeyFile: string;
  /** The private key to it. Default `~/work/fabric_config/slice_key`. */
  readonly privateKeyFile: string;
  /** Default `bastion.fabric-testbed.net`. */
  readonly bastionHost: string;
  readonly bastionUser?: string;
  /** Default `~/work/fabric_config/fabric_bastion_key`. */
  readonly bastionKeyFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** FABlib's defaults. Source: fabrictestbed-extensions, fablib/constants.py. */
const defaults = {
  rc: "~/work/fabric_config/fabric_rc",
  host: "orchestrator.fabric-testbed.net",
  tokenFile: "~/.tokens.json",
  credmgrHost: "cm.fabric-testbed.net",
  publicKeyFile: "~/work/fabric_config/slice_key.pub",
  privateKeyFile: "~/work/fabric_config/slice_key",
  bastionHost: "bastion.fabric-testbed.net",
  bastionKeyFile: "~/work/fabric_config/fabric_bastion_key",
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
  const path = (name: string, fallback: string) => expandHome(value(name) ?? fallback, env);
  const projectId = value("FABRIC_PROJECT_ID");
  const bastionUser = value("FABRIC_BASTION_USERNAME");
  return {
    host: value("FABRIC_ORCHESTRATOR_HOST") ?? defaults.host,
    credmgrHost: value("FABRIC_CREDMGR_HOST") ?? defaults.credmgrHost,
    tokenFile: path("FABRIC_TOKEN_LOCATION", defaults.tokenFile),
    publicKeyFile: path("FABRIC_SLICE_PUBLIC_KEY_FILE", defaults.publicKeyFile),
    privateKeyFile: path("FABRIC_SLICE_PRIVATE_KEY_FILE", defaults.privateKeyFile),
    bastionHost: value("FABRIC_BASTION_HOST") ?? defaults.bastionHost,
    bastionKeyFile: path("FABRIC_BASTION_KEY_LOCATION", defaults.bastionKeyFile),
    ...(bastionUser === undefined ? {} : { bastionUser }),
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

/** The token file as FABlib keeps it: what is in it, and replacing it so that it is always one whole file or the other. */
import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, writeSync } from "node:fs"; // biome-ignore format: one line
import { dirname } from "node:path";
import { InfraError } from "../problem.js";

/** Where a person gets a token, by a browser. */
export const logInAt = "https://cm.fabric-testbed.net";

/** What a token file says. Secrets: for the services they are meant for, and nowhere else. */
export interface Tokens {
  readonly idToken: string;
  readonly refreshToken?: string;
  /** When the id token ends, by its own claim; undefined when it does not say. */
  readonly expiresAt?: Date;
}

/**
 * Reads `{"id_token", "refresh_token", "created_at"}`, or the id token's text alone.
 *
 * @throws InfraError FAB-TOKEN-MISSING, FAB-TOKEN-INVALID; neither holds a token
 */
export function readTokenFile(file: string): Tokens {
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
      remedy: `get one at ${logInAt} and name its file as FABRIC_TOKEN_LOCATION in fabric_rc`,
    });
  }
  const tokens = text.startsWith("{") ? fromJson(text) : { id_token: text };
  const { id_token: idToken, refresh_token: refreshToken } = tokens;
  if (typeof idToken !== "string" || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(idToken)) {
    throw new InfraError({
      code: "FAB-TOKEN-INVALID",
      file,
      message: "the file holds no id_token",
      remedy: `get a new token at ${logInAt}`,
    });
  }
  const { exp } = tokenClaims(idToken);
  return {
    idToken,
    ...(typeof refreshToken === "string" && refreshToken !== "" ? { refreshToken } : {}),
    ...(typeof exp === "number" ? { expiresAt: new Date(exp * 1000) } : {}),
  };
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

/** A token file about to be replaced. */
export interface Replacement {
  /** Puts the text in the file's place; on disk when it returns. 0600 whatever the old one had. */
  commit(text: string): void;
  /** Leaves the file as it was. Does nothing after a commit. */
  abandon(): void;
}

/**
 * Opens a file beside the token file, so that it is known to be possible before a refresh token is spent. A link is followed: what it points to is
 * replaced. One caller at a time.
 *
 * @throws InfraError FAB-TOKEN-WRITE
 */
export function replaceTokenFile(file: string): Replacement {
  let temporary = "";
  let open: number | undefined;
  let target = file;
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw new InfraError({
        code: "FAB-TOKEN-WRITE",
        file,
        message: `a new FABRIC token cannot be kept here: ${(error as Error).message}`,
        remedy: "make the file and its folder writable: a refresh token is good for one use, so the next one must be kept",
      }); // biome-ignore format: one line
    }
  };
  guarded(() => {
    target = realpathSync(file);
    temporary = `${target}.new`;
    rmSync(temporary, { force: true }); // left by a process that was killed
    open = openSync(temporary, "wx", 0o600);
  });
  const close = () => {
    if (open !== undefined) closeSync(open);
    open = undefined;
  };
  return {
    commit: (text) =>
      guarded(() => {
        if (open === undefined) throw new Error("replaced already");
        writeSync(open, text);
        fsyncSync(open);
        close();
        renameSync(temporary, target);
        const folder = openSync(dirname(target), "r");
        try {
          fsyncSync(folder); // else the rename itself may be lost with the power
        } finally {
          closeSync(folder);
        }
      }),
    abandon: () => {
      if (open === undefined) return;
      close();
      rmSync(temporary, { force: true });
    },
  };
}

function fromJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // the caller says what is wrong, without quoting a file that may hold a token
  }
}

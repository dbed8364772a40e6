import { type Document, isMap, parseDocument } from "yaml";
import { InfraError } from "../problem.js";

/** The engine's copy of a stack's configuration. */
export interface StackConfig {
  /** What the engine reads: the user's values and the salt. */
  readonly text: string;
  /** The salt of the stack's secrets, if there is one yet. */
  readonly salt: string | undefined;
  /** The user's own file says how secrets are kept: their passphrase or key service, not ours. */
  readonly ownSecrets: boolean;
}

/**
 * Joins the user's `Pulumi.<stack>.yaml` with the salt, which lives only in the copy: the user's file is never written and
 * holds nothing of one machine's.
 *
 * @param user text of the user's file, if there is one
 * @param salt the salt known so far
 * @throws InfraError `TOOL-CONFIG-YAML` when the file is no YAML mapping
 */
export function stackConfig(user: string | undefined, salt: string | undefined, file: string): StackConfig {
  const document = readMapping(user ?? "", file);
  const ownSalt = document.get("encryptionsalt");
  const ownSecrets = ownSalt !== undefined || document.has("secretsprovider") || document.has("encryptedkey");
  if (ownSecrets) {
    return { text: user ?? "", salt: typeof ownSalt === "string" ? ownSalt : undefined, ownSecrets };
  }
  if (salt !== undefined) document.set("encryptionsalt", salt);
  return { text: document.toString({ lineWidth: 0 }), salt, ownSecrets };
}

/** The salt in a stack's configuration, if any. */
export function saltOf(text: string, file: string): string | undefined {
  const salt = readMapping(text, file).get("encryptionsalt");
  return typeof salt === "string" ? salt : undefined;
}

function readMapping(text: string, file: string): Document {
  const document: Document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) {
    const [at] = error.linePos ?? [];
    throw configProblem(
      file,
      at ? `line ${at.line}, column ${at.col}` : undefined,
      error.message.split("\n")[0] ?? "",
    );
  }
  if (document.contents === null) {
    document.contents = document.createNode({});
  } else if (!isMap(document.contents)) {
    throw configProblem(file, undefined, "the file must be a mapping with the key `config`");
  }
  return document;
}

function configProblem(file: string, path: string | undefined, message: string): InfraError {
  return new InfraError({
    code: "TOOL-CONFIG-YAML",
    file,
    ...(path === undefined ? {} : { path }),
    message: message.replace(/ at line \d+, column \d+:?$/, ""),
    remedy: "mend the YAML",
  });
}

/** Request bodies as the orchestrator's front checks them (connexion 2.14 with its openapi.json). */
import { FrontError } from "./api-error.js";
import { bad, notOneOf } from "./query.js";

export interface SlicesPost {
  readonly graphModel: string;
  readonly sshKeys: readonly string[];
}

const poaOperations = [
  "cpuinfo",
  "numainfo",
  "cpupin",
  "numatune",
  "reboot",
  "addkey",
  "removekey",
  "rescan",
];

/** @throws FrontError 400 or 415 */
export function readSlicesPost(contentType: string | undefined, body: unknown): SlicesPost {
  const json = readJson(contentType, body);
  for (const name of ["graph_model", "ssh_keys"])
    if (!(name in json)) throw bad(`'${name}' is a required property`);
  const { graph_model: graphModel, ssh_keys: sshKeys } = json;
  if (typeof graphModel !== "string")
    throw bad(`${shown(graphModel)} is not of type 'string' - 'graph_model'`);
  if (!Array.isArray(sshKeys)) throw bad(`${shown(sshKeys)} is not of type 'array' - 'ssh_keys'`);
  if (sshKeys.length > 10) throw bad(`${shown(sshKeys)} is too long - 'ssh_keys'`);
  const odd = sshKeys.findIndex((k) => typeof k !== "string");
  if (odd >= 0) throw bad(`${shown(sshKeys[odd])} is not of type 'string' - 'ssh_keys.${odd}'`);
  return { graphModel, sshKeys };
}

/** @throws FrontError 400 or 415 */
export function readPoaPost(contentType: string | undefined, body: unknown): { readonly operation: string } {
  const { operation } = readJson(contentType, body);
  if (operation === undefined) throw bad("'operation' is a required property");
  if (typeof operation !== "string") throw bad(`${shown(operation)} is not of type 'string' - 'operation'`);
  if (!poaOperations.includes(operation)) throw bad(`${notOneOf(operation, poaOperations)} - 'operation'`);
  return { operation };
}

/** Any kind of text is taken, as the real one does. */
export function readText(body: unknown): string {
  return Buffer.isBuffer(body) ? body.toString("utf8") : "";
}

/** @throws FrontError 400 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad("Request body is not valid JSON");
  }
}

function readJson(contentType: string | undefined, body: unknown): Readonly<Record<string, unknown>> {
  const kind = contentType?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (kind !== "application/json" && !kind.endsWith("+json")) {
    throw new FrontError(415, "Unsupported Media Type", `Invalid Content-type (${kind}), expected JSON data`);
  }
  const text = readText(body);
  if (text === "") throw bad("None is not of type 'object'");
  const json = parseJson(text);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw bad(`${shown(json)} is not of type 'object'`);
  return json as Record<string, unknown>;
}

/** A value in an error's text, not at any length. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "None";
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

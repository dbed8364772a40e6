import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { InfraError } from "../../infra/problem.js";
import { type MarketplaceSpec, resolveSpec } from "../spec.js";

const key = "dynamos-fabric:marketplace";

/** The configuration object as written, or `undefined` when the stack has none (a program of one's own). */
export function readMarketplace(
  project: string,
  stack: string,
): { readonly file: string; readonly config: unknown } {
  const file = `Pulumi.${stack}.yaml`;
  const path = join(project, file);
  if (!existsSync(path)) return { file, config: undefined };
  let content: unknown;
  try {
    content = parse(readFileSync(path, "utf8"));
  } catch {
    // The engine's preparation tells the place of a YAML mistake; here it is only no object.
    return { file, config: undefined };
  }
  const config = field(content, "config");
  return { file, config: field(config, key) };
}

/** The object with its defaults. Throws an InfraError with all its problems. */
export function readSpec(project: string, stack: string): MarketplaceSpec {
  const { file, config } = readMarketplace(project, stack);
  const { spec, problems } = resolveSpec(config, file);
  if (spec === undefined) throw new InfraError(problems);
  return spec;
}

/** Whether the marketplace runs as processes of this machine. */
export function isLocal(config: unknown): boolean {
  return config !== undefined && (field(config, "target") ?? "local") === "local";
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

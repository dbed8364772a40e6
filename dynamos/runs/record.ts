import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../infra/local/package-folder.js";
import type { Agreement } from "../../policy/contract/documents.js";
import type { StoredAgreement } from "./agreements-api.js";
import type { ExperimentSettings } from "./settings.js";

/** What somebody else needs to repeat an experiment and to compare. */
export interface ExperimentRecord {
  readonly command: readonly string[];
  readonly startedAt: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly runs: number;
  readonly rounds: number;
  /** Whether the planned change was to be made, and in which round where the command said so. */
  readonly change: boolean;
  readonly changeAt?: number;
  /** The configuration object with its defaults filled in. */
  readonly spec: unknown;
  readonly settings: ExperimentSettings;
  /** As they stood when the experiment began. */
  readonly agreements: Readonly<
    Record<string, { readonly revision: number; readonly sha256: string; readonly document: Agreement }>
  >;
}

/** Versions of what takes part: this package, Node, and the packages whose behaviour a result may depend on. */
export function versions(): Record<string, string> {
  const root = packageFolder();
  const version = (folder: string): string => {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version?: string };
    return manifest.version ?? "unknown";
  };
  const of = (name: string): string => {
    try {
      return version(join(root, "node_modules", name));
    } catch {
      return "not found";
    }
  };
  const packages = ["@pulumi/pulumi", "amqplib", "ml-matrix"].map((name) => [name, of(name)] as const);
  return { "dynamos-fabric": version(root), node: process.version, ...Object.fromEntries(packages) };
}

/** The agreements' part of a record. */
export function agreementsRecord(stored: readonly StoredAgreement[]): ExperimentRecord["agreements"] {
  return Object.fromEntries(
    stored.map(({ document, revision }) => {
      const sha256 = createHash("sha256").update(JSON.stringify(document)).digest("hex");
      return [document.name, { revision, sha256, document }];
    }),
  );
}

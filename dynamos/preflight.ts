import { isAbsolute, join } from "node:path";
import { lookAt } from "../infra/fabric/endpoint-look.js";
import { projectRights } from "../infra/fabric/site-data.js";
import { unobtainable } from "../infra/fabric/slice-preflight.js";
import { findProject } from "../infra/local/package-folder.js";
import { InfraError, type Problem } from "../infra/problem.js";
import { clusterProblems, keyProblems, onClusterProblems } from "./cluster.js";
import { objectProblems } from "./cluster-plan.js";
import { type Experiment, readExperiment } from "./experiment.js";
import { documentProblems, partiesWithoutAgreement, programProblems } from "./experiment-checks.js";
import { fabricProblems, wantedSlice } from "./fabric-checks.js";
import { type Placement, placementOf } from "./placement.js";
import { portProblems } from "./port-check.js";
import { EMULATOR } from "./services.js";
import { siteData } from "./site-data.js";
import { type MarketplaceSpec, resolveSpec, type Target } from "./spec.js";
import { projectName, stateFolderOf } from "./stack-folder.js";
import { dataProblems, uncopiedData } from "./steward-data.js";

/** What is checked. */
export interface CheckInput {
  /** The configuration object: the value of `dynamos-fabric:marketplace`. */
  readonly config: unknown;
  readonly stack: string;
  /** Name of the project; with the stack it says which slice is ours. Default: as Pulumi.yaml has it. */
  readonly project?: string;
  /** The folder of Pulumi.yaml. Default: the one at or above the working folder. */
  readonly folder?: string;
  /** Where the object stands, shown with each problem. Default: `Pulumi.<stack>.yaml`. */
  readonly file?: string;
}

/** What the preflight found. `spec` and the rest are there when there is no problem. */
export interface Preflight {
  /** What must be mended first; empty when the stack can be deployed. */
  readonly problems: readonly Problem[];
  /** What a person may want to know, none of it in the way. */
  readonly notes: readonly Problem[];
  readonly ready?: ReadyToDeploy;
}

export interface ReadyToDeploy {
  readonly spec: MarketplaceSpec;
  readonly placement: Placement;
  readonly experiment: Experiment;
}

/**
 * Everything that is wrong with a marketplace, before anything is changed: the configuration object, the experiment's documents, names and room
 * of sites, ports on this machine. Reads files and, for the target fabric, FABRIC's public summary (at most 3 s); for the target kubernetes it asks the cluster. The program does the
 * same before it registers a resource.
 */
export async function check(input: CheckInput): Promise<Problem[]> {
  return [...(await preflight(input)).problems];
}

/** {@link check}, with what it read on the way and its notes. */
export async function preflight(input: CheckInput): Promise<Preflight> {
  const folder = input.folder ?? findProject();
  const file = input.file ?? `Pulumi.${input.stack}.yaml`;
  const inFile = (problems: readonly Problem[]): Problem[] =>
    problems.map((p) => ({ ...p, file: p.file ?? file }));
  const raw = isRecord(input.config) ? input.config : {};
  const { spec, problems: wrong = [] } = resolveSpec(input.config, file);
  const target = spec?.target ?? (raw.target as Target | undefined) ?? "local";
  const places = new Set(wrong.map((p) => p.path));
  const fabric =
    target === "local" || target === "fabric" ? fabricProblems(raw).filter((p) => !places.has(p.path)) : [];

  const read =
    typeof raw.experiment === "string" && !isAbsolute(raw.experiment)
      ? readExperiment(join(folder, raw.experiment), raw.experiment)
      : undefined;
  const documents =
    read === undefined ? [] : [...read.problems, ...documentProblems(read.experiment, raw.nodes)];

  const notes: Problem[] = [];
  const rooms: Problem[] = [];
  if (target === "local" || target === "fabric") {
    const unwell = new Set([...wrong, ...fabric].map((p) => p.path?.split(".")[1] ?? ""));
    const state = stateFolderOf(input.stack);
    const data = await siteData(target, {
      state: join(folder, state),
      project: input.project ?? projectName(folder),
      stack: input.stack,
    });
    const { tags, notes: unread } = projectRights(
      lookAt(target === "local" ? { kind: "local", state, service: EMULATOR } : { kind: "fabric" }, folder),
    );
    notes.push(...data.notes, ...unread);
    rooms.push(...unobtainable(wantedSlice(raw), { ...data, tags }, unwell));
  }
  const ports = target === "local" ? await portProblems(raw, join(folder, stateFolderOf(input.stack))) : [];
  const cluster = [
    ...clusterProblems(target, raw.nodes),
    ...onClusterProblems(raw),
    ...(spec === undefined ? [] : keyProblems(spec, folder)),
  ];
  const problems = inFile([
    ...wrong,
    ...cluster,
    ...fabric,
    ...rooms,
    ...ports,
    ...dataProblems(raw.nodes, target),
    ...documents,
    ...(read === undefined ? [] : programProblems(target, read.experiment)),
  ]);
  if (spec === undefined || read === undefined || problems.length > 0) return { problems, notes };
  const placement = placementOf(spec);
  const { experiment } = read;
  const objects = inFile(objectProblems({ spec, placement, experiment, project: folder }));
  if (objects.length > 0) return { problems: objects, notes };
  if (spec.target === "kubernetes") {
    const { existingClusterProblems } = await import("./cluster-look.js");
    const seen = await existingClusterProblems({ spec, placement, experiment, project: folder });
    notes.push(...seen.notes);
    if (seen.problems.length > 0) return { problems: inFile(seen.problems), notes };
  }
  notes.push(
    ...partiesWithoutAgreement(placement, experiment),
    ...uncopiedData(spec, placement.agents, experiment.folder),
  );
  return { problems, notes, ready: { spec, placement, experiment } };
}

/** {@link preflight}, for those who cannot go on with a problem. Throws one InfraError with all of them. */
export async function preflightOrThrow(
  input: CheckInput,
): Promise<ReadyToDeploy & { readonly notes: readonly Problem[] }> {
  const { problems, notes, ready } = await preflight(input);
  if (ready === undefined) throw new InfraError(problems);
  return { ...ready, notes };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { InfraError } from "../../infra/problem.js";
import { ON_CLUSTER, onClusterProblems } from "../cluster.js";
import { kubernetesOptionsOf } from "../cluster-plan.js";
import { readExperiment } from "../experiment.js";
import { planKubernetes } from "../kubernetes/plan.js";
import { type Rendered, renderPlan } from "../kubernetes/render.js";
import { placementOf } from "../placement.js";
import type { CommandContext } from "./context.js";

/** `dynamos-fabric render --out DIR`: the marketplace's objects as plain YAML, without secrets. Asks no cluster. */
export function registerRender(program: Command, context: () => CommandContext): void {
  program
    .command("render")
    .description("write the marketplace's Kubernetes objects as YAML, secrets left out")
    .requiredOption("--out <folder>", "where to; must be empty or not there")
    .action(({ out }: { readonly out: string }) => {
      const files = rendered(context());
      const folder = resolve(out);
      requireEmpty(folder);
      for (const { file, text } of files) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), text);
      }
      const open = files.filter(({ text }) => text.includes("{{")).length;
      process.stdout.write(`${files.length} objects in ${folder}; ${open} have placeholders for secrets\n`);
    });
}

/**
 * The objects of a stack's specification as files.
 *
 * @throws InfraError SPEC-RENDER where the stack's target is no cluster, and those of its images and objects
 */
export function rendered({ project, spec }: Pick<CommandContext, "project" | "spec">): readonly Rendered[] {
  if (!ON_CLUSTER.includes(spec.target)) {
    const message = `the target is ${spec.target}: its services are processes, not objects`;
    const remedy = `give the stack a target that is a cluster: ${ON_CLUSTER.join(", ")}`;
    throw new InfraError({ code: "SPEC-RENDER", path: "target", message, remedy });
  }
  const { experiment, problems } = readExperiment(resolve(project, spec.experiment), spec.experiment);
  const all = [...onClusterProblems({ ...spec }), ...problems];
  if (all.length > 0) throw new InfraError(all);
  const placement = placementOf(spec);
  const options = kubernetesOptionsOf({ spec, placement, project });
  return renderPlan(planKubernetes({ placement, options, documents: experiment.documents }));
}

/** Files of another time would be taken for objects of this one. @throws InfraError SPEC-RENDER-FOLDER */
function requireEmpty(folder: string): void {
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length === 0) return;
  const remedy = "name another, or empty it";
  throw new InfraError({ code: "SPEC-RENDER-FOLDER", message: `${folder} is not empty`, remedy });
}

import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { findProject } from "../../infra/local/package-folder.js";
import { InfraError } from "../../infra/problem.js";
import { readExperiment } from "../experiment.js";
import { documentObjects } from "./documents-plan.js";
import type { PartArgs } from "./parts.js";
import { corePlace } from "./plan.js";
import { registerObjects } from "./resources.js";

/** What {@link Documents} are made of. */
export interface DocumentsArgs extends PartArgs {
  /** Folder of the experiment, relative to Pulumi.yaml. */
  readonly experiment: string;
}

/**
 * An experiment's agreements, archetypes, request types, microservices and data sets in the running marketplace: in force when `up` ends. What was
 * changed through the orchestrator's API since the stack wrote it is not overwritten: such an `up` fails with POL-AGREEMENT-CONFLICT or DOC-CONFLICT.
 *
 * Throws InfraError with all problems of the experiment's folder.
 */
export class Documents extends pulumi.ComponentResource {
  /** What is there when all documents are in force. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: DocumentsArgs, options?: pulumi.ComponentResourceOptions) {
    const { experiment, problems } = readExperiment(join(findProject(), args.experiment), args.experiment);
    if (problems.length > 0) throw new InfraError(problems);
    super("dynamos-fabric:dynamos:Documents", name, {}, options);
    const objects = documentObjects(experiment.documents, corePlace(args.node, args.options));
    this.ready = registerObjects(name, objects, args.secrets, {
      parent: this,
      dependsOn: [...(args.after ?? [])],
    });
    this.registerOutputs({});
  }
}

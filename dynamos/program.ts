import { deploy } from "./deploy.js";

/** What `pulumi up` runs: `main` of Pulumi.yaml. The engine calls it and shows what it answers as the stack's outputs. */
export = deploy;

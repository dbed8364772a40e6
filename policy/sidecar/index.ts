/** The library of a microservice: `import { serve } from "dynamos-fabric/microservice"`. */

export type { DataAccess, DataSetAccess, TableAccess } from "../contract/data-access.js";
export { CodedError, type Problem } from "../contract/problem.js";
export { serve } from "./serve.js";
export type { Handler, StepInput, StepOutput } from "./step.js";

/** The library of a microservice: `import { serve } from "dynamos-fabric/microservice"`. */
export { serve } from "./serve.js";
export type { Handler, StepInput, StepOutput } from "./step.js";
export { CodedError, type Problem } from "../contract/problem.js";

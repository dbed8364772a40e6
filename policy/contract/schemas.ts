/** Checking documents and requests, in one import. Shapes are in `json-schemas.ts`; everything here is pure. */
export { agreementProblems, type KnownNames } from "./agreement-check.js";
export { checkDocuments, type DocumentProblem, type Documents } from "./check.js";
export { DOCUMENT_SCHEMAS, REQUEST_BODY_SCHEMA, type RequestBody } from "./json-schemas.js";
export { documentPath } from "./paths.js";
export { dataValidator, validateDocument, validateRequestBody } from "./validate.js";
export { type WorkflowProblem, workflowProblems } from "./workflow-check.js";

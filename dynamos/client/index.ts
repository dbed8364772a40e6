/** Requests to a marketplace, for programs: `import { GatewayClient } from "dynamos-fabric/client"`. */
export type { JobEnd, JobSnapshot, RefusalReason, RoundReport } from "../../policy/contract/job.js";
export {
  type Acceptance,
  type AnyRequests,
  ClientJob,
  type DataRequest,
  type GatewayAccess,
  GatewayClient,
} from "./gateway-client.js";

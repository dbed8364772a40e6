/** Any query at each university, and another one over their answers. */
import { serve } from "dynamos-fabric/microservice";
import { sql } from "dynamos-fabric/microservices";

serve({ query: sql(), combine: sql({ query: { field: "combine" } }) });

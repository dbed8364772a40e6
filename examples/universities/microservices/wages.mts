/** Who earns what by scale, joined from the two tables of a university; then the mean of each group, where it is large enough. */
import { serve } from "dynamos-fabric/microservice";
import { aggregate, sql } from "dynamos-fabric/microservices";

serve({
  wages: sql({
    query: {
      text: "SELECT scale, gender, wage FROM persons JOIN appointments USING (person) WHERE fte >= 0.8",
    },
  }),
  gap: aggregate({
    groupBy: ["scale", "gender"],
    measures: { people: { measure: "count" }, wage: { measure: "mean", of: "wage" } },
    leastGroup: 10,
  }),
});

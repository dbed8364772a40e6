/** What leaves a person recognisable goes before anybody asks: no name, no exact birth, no exact wage. */
import { serve } from "dynamos-fabric/microservice";
import { anonymise } from "dynamos-fabric/microservices";

serve({
  anonymise: anonymise({
    persons: { generalise: { born: { keep: 3 } } },
    appointments: { generalise: { wage: { step: 100 } } },
  }),
});

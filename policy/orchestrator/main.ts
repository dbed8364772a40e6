import { z } from "zod";
import { Bus } from "../platform/bus.js";
import { baseConfig, busOptions, readConfig, secretFile, storeOptions } from "../platform/config.js";
import { runService } from "../platform/health.js";
import { Store } from "../platform/store.js";
import { usersConfig, usersFrom } from "../users/config.js";
import { createApi } from "./api.js";
import { startOrchestrator } from "./orchestrator.js";

const configuration = z.object({
  ...baseConfig,
  ...usersConfig,
  /** Bearer token of the API. */
  OPERATOR_TOKEN_FILE: secretFile,
  STEP_SECONDS: z.coerce.number().positive().default(30),
});

runService("orchestrator", async ({ log }) => {
  const config = readConfig(configuration);
  const [bus, store] = await Promise.all([
    Bus.connect(busOptions(config)),
    Store.connect({ ...storeOptions(config), log }),
  ]);
  const orchestrator = await startOrchestrator({ bus, store, log, stepDeadline: config.STEP_SECONDS * 1000 });
  const http = createApi({
    log,
    store,
    jobs: orchestrator.jobs,
    find: (id) => orchestrator.coordinator.find(id),
    cancel: (id) => orchestrator.coordinator.cancel(id),
    agents: () => orchestrator.catalogue.agents(),
    operatorToken: config.OPERATOR_TOKEN_FILE,
    users: usersFrom(config),
    ready: () => bus.up || "the message broker is away",
  });
  await http.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  return {
    async close() {
      await http.close();
      await orchestrator.close();
      await bus.close();
      await store.close();
    },
  };
});

import { z } from "zod";
import { Bus } from "../platform/bus.js";
import { baseConfig, busOptions, readConfig, storeOptions } from "../platform/config.js";
import { runService } from "../platform/health.js";
import { Store } from "../platform/store.js";
import { usersConfig, usersFrom } from "../users/config.js";
import { startGateway } from "./gateway.js";

runService("api-gateway", async ({ log }) => {
  const config = readConfig(z.object({ ...baseConfig, ...usersConfig }));
  const [bus, store] = await Promise.all([
    Bus.connect(busOptions(config)),
    Store.connect({ ...storeOptions(config), log }),
  ]);
  const gateway = await startGateway({ bus, store, log, users: usersFrom(config) });
  await gateway.http.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  return {
    async close() {
      await gateway.close();
      await bus.close();
      await store.close();
    },
  };
});

import { z } from "zod";
import { Bus } from "../platform/bus.js";
import { baseConfig, busOptions, readConfig, storeOptions } from "../platform/config.js";
import { createHttp, runService } from "../platform/health.js";
import { Store } from "../platform/store.js";
import { Audit } from "./audit.js";
import { Enforcer } from "./enforcer.js";
import { createMetrics } from "./metrics.js";

runService("policy-enforcer", async ({ log }) => {
  const config = readConfig(z.object({ ...baseConfig, AUDIT_FOLDER: z.string().min(1) }));
  const metrics = createMetrics();
  const [bus, store] = await Promise.all([
    Bus.connect(busOptions(config)),
    Store.connect({ ...storeOptions(config), log }),
  ]);
  let enforcer: Enforcer | undefined;
  const audit = new Audit({ folder: config.AUDIT_FOLDER, enforcer: config.SERVICE_NAME, store, log });
  const http = createHttp({
    log,
    codes: "POL",
    metrics: metrics.registry,
    ready: () => {
      if (enforcer === undefined) return "it is starting";
      return bus.up ? (audit.trouble?.message ?? true) : "the message broker is away";
    },
  });
  // The port first: a second process of this enforcer ends here, before it writes to the same audit.
  await http.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  const started = await Enforcer.start({ bus, store, log, metrics, audit });
  enforcer = started;
  return {
    async close() {
      await http.close();
      await started.close();
      await bus.close();
      await store.close();
    },
  };
});

import { readFileSync } from "node:fs";
import { z } from "zod";
import { readConfig, secretFile } from "../platform/config.js";
import { createLogger, problemOf } from "../platform/log.js";
import { applyDefinitions } from "./broker-users.js";

const schema = z.object({
  BROKER_URL: z.url(),
  BROKER_ADMIN: z.string().min(1),
  BROKER_ADMIN_PASSWORD_FILE: secretFile,
  /** RabbitMQ's definitions: the whole of what the broker should be. */
  DEFINITIONS_FILE: z.string().min(1),
});

const log = createLogger("setup");

/** Run once, inside the cluster, whenever parties come or go: the broker's management interface is reached from nowhere else. */
async function main(): Promise<void> {
  const config = readConfig(schema);
  const removed = await applyDefinitions(
    { url: config.BROKER_URL, user: config.BROKER_ADMIN, password: config.BROKER_ADMIN_PASSWORD_FILE },
    readFileSync(config.DEFINITIONS_FILE, "utf8"),
  );
  log.info(removed, "the broker knows its users");
}

main().catch((error: unknown) => {
  const problem = problemOf(error);
  log.fatal({ ...problem, message: undefined }, problem.message);
  process.exitCode = 1;
});

import { z } from "zod";
import { baseConfig, readConfig } from "../platform/config.js";

/** The environment an agent gives a microservice (docs/architecture.md). */
const schema = z.object({
  SERVICE_NAME: baseConfig.SERVICE_NAME,
  AMQP_HOST: baseConfig.AMQP_HOST,
  AMQP_PORT: baseConfig.AMQP_PORT,
  AMQP_USER: baseConfig.AMQP_USER,
  AMQP_PASSWORD_FILE: baseConfig.AMQP_PASSWORD_FILE,
  JOB_NAME: z.string().min(1),
  JOB_QUEUE: z.string().min(1),
  DATA_STEWARD_NAME: z.string().min(1),
  DATA_FOLDER: z.string().min(1),
  GRANT_KEYS_FILE: z.string().min(1),
  ROUND_SECONDS: z.coerce.number().positive(),
});

/** @throws ConfigError naming every variable that is missing or wrong */
export const readEnvironment = (environment: NodeJS.ProcessEnv = process.env) =>
  readConfig(schema, environment);

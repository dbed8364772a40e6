import { z } from "zod";
import { port, readConfig, secretFile } from "../platform/config.js";
import { runService } from "../platform/health.js";
import { createIssuer } from "./issuer.js";
import { IssuerKeyring } from "./issuer-keyring.js";

const configuration = z.object({
  /** It believes whoever has its secret, so nobody else may reach it. */
  HTTP_HOST: z.enum(["127.0.0.1", "::1", "localhost"]).default("127.0.0.1"),
  HTTP_PORT: port,
  KEYS_FILE: z.string().min(1),
  ISSUER_SECRET_FILE: secretFile,
});

runService("development-issuer", async ({ log }) => {
  const config = readConfig(configuration);
  const host = config.HTTP_HOST === "::1" ? "[::1]" : config.HTTP_HOST;
  const app = createIssuer({
    issuer: () => `http://${host}:${config.HTTP_PORT}`,
    keyring: await IssuerKeyring.open(config.KEYS_FILE),
    secret: config.ISSUER_SECRET_FILE,
    log,
  });
  await app.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  log.warn("this issuer is for development: it gives a token for any user to whoever has its secret");
  return { close: () => app.close() };
});

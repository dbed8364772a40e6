import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { Problem } from "../contract/problem.js";
import { readConfig, secretFile } from "../platform/config.js";
import { createLogger, problemOf } from "../platform/log.js";
import { applyDefinitions } from "./broker-users.js";
import { applyDocuments, readDocuments } from "./documents.js";
import { DocumentsApi } from "./documents-api.js";
import { StoreGateway } from "./store-gateway.js";
import { STORE_ROOT, STORE_SETUP } from "./store-user.js";
import { applyStoreUsers, readUsers } from "./store-users.js";

/** What is done, and what it needs. Broker, store and orchestrator are reached from nowhere else than inside the cluster. */
const configuration = {
  "broker-users": z.object({
    BROKER_URL: z.url(),
    BROKER_ADMIN: z.string().min(1),
    BROKER_ADMIN_PASSWORD_FILE: secretFile,
    /** RabbitMQ's definitions: the whole of what the broker should be. */
    DEFINITIONS_FILE: z.string().min(1),
  }),
  "store-users": z.object({
    /** `host:port` */
    STORE_ENDPOINT: z.string().min(1),
    STORE_ROOT_PASSWORD_FILE: secretFile,
    /** Rights, passwords and agents' public keys. */
    USERS_FOLDER: z.string().min(1),
  }),
  documents: z.object({
    ORCHESTRATOR_URL: z.url(),
    OPERATOR_TOKEN_FILE: secretFile,
    STORE_ENDPOINT: z.string().min(1),
    STORE_PASSWORD_FILE: secretFile,
    DOCUMENTS_FOLDER: z.string().min(1),
  }),
} as const;

const common = z.object({
  SETUP: z.enum(["broker-users", "store-users", "documents"]),
  /** Where a person who waits for the Job reads why it failed. */
  TERMINATION_FILE: z.string().min(1).optional(),
});

/** A refusal is the same each time; the Job's podFailurePolicy knows this number and does not try again. */
const REFUSED = 3;

const log = createLogger("setup");

async function main(task: z.infer<typeof common>["SETUP"]): Promise<void> {
  switch (task) {
    case "broker-users": {
      const config = readConfig(configuration[task]);
      const removed = await applyDefinitions(
        { url: config.BROKER_URL, user: config.BROKER_ADMIN, password: config.BROKER_ADMIN_PASSWORD_FILE },
        readFileSync(config.DEFINITIONS_FILE, "utf8"),
      );
      return log.info(removed, "the broker knows its users");
    }
    case "store-users": {
      const config = readConfig(configuration[task]);
      const done = await applyStoreUsers(
        { endpoint: config.STORE_ENDPOINT, password: config.STORE_ROOT_PASSWORD_FILE },
        readUsers(config.USERS_FOLDER),
      );
      return log.info(done, `the store knows its users, and ${STORE_ROOT} makes them`);
    }
    case "documents": {
      const config = readConfig(configuration[task]);
      const login = { user: STORE_SETUP, password: config.STORE_PASSWORD_FILE };
      const { left, ...done } = await applyDocuments(
        new DocumentsApi({ url: config.ORCHESTRATOR_URL, token: config.OPERATOR_TOKEN_FILE }),
        new StoreGateway(config.STORE_ENDPOINT, login),
        readDocuments(config.DOCUMENTS_FOLDER),
      );
      for (const { message, ...problem } of left) log.warn(problem, message);
      return log.info(done, "the marketplace has its documents");
    }
  }
}

/** `agreement clientone  POL-AGREEMENT-CONFLICT  why; what to do`, as all problems are shown. */
const lineOf = ({ path, code, message, remedy }: Problem): string =>
  [path, code, [message, remedy].filter(Boolean).join("; ")].filter(Boolean).join("  ");

const { SETUP, TERMINATION_FILE } = readConfig(common);
main(SETUP).catch((error: unknown) => {
  const problem = problemOf(error);
  log.fatal({ ...problem, message: undefined }, problem.message);
  if (TERMINATION_FILE !== undefined) writeFileSync(TERMINATION_FILE, lineOf(problem).slice(0, 4_000));
  process.exitCode = /-CONFLICT$|^DOC-|^POL-/.test(problem.code) ? REFUSED : 1;
});

import { existsSync, readFileSync } from "node:fs";
import { statusOf } from "../infra/local/stack.js";
import { StateFolder } from "../infra/local/state-folder.js";
import { DocumentsApi } from "../policy/setup/documents-api.js";
import { StoreGateway } from "../policy/setup/store-gateway.js";
import { OPERATOR_TOKEN, ORCHESTRATOR, STORE } from "./services.js";
import { STORE_READER, storeSecret } from "./store-rights.js";

/** The API of a stack on this machine; undefined when its orchestrator is not running. */
export function documentsApi(stateFolder: string): DocumentsApi | undefined {
  const { services } = statusOf(stateFolder);
  const portOf = (service: string, port: string): number | undefined => {
    const found = services.find((s) => s.name === service);
    return found?.state === "ready" ? found.ports[port] : undefined;
  };
  const port = portOf(ORCHESTRATOR, "http");
  const secrets = new StateFolder(stateFolder);
  const token = secrets.secretFile(OPERATOR_TOKEN);
  if (port === undefined || !existsSync(token)) return undefined;
  const store = portOf(STORE, "client");
  return new DocumentsApi({
    url: `http://127.0.0.1:${port}`,
    token: readFileSync(token, "utf8").trim(),
    store:
      store === undefined
        ? undefined
        : new StoreGateway(`127.0.0.1:${store}`, {
            user: STORE_READER,
            password: secrets.secret(storeSecret(STORE_READER)),
          }),
  });
}

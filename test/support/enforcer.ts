import { join } from "node:path";
import type { TestBroker, TestStore } from "./servers.js";

/** A policy enforcer's environment. `folder` holds the file `password`, and its audit. */
export const enforcerEnvironment = (
  broker: TestBroker,
  store: TestStore,
  folder: string,
  port: number | string,
): Record<string, string> => ({
  SERVICE_NAME: "policy-enforcer",
  AMQP_HOST: broker.host,
  AMQP_PORT: String(broker.port),
  AMQP_USER: "guest",
  AMQP_PASSWORD_FILE: join(folder, "password"),
  ETCD_ENDPOINT: store.endpoint,
  HTTP_PORT: String(port),
  AUDIT_FOLDER: join(folder, "audit"),
});

/** Whether a service says that it does its work. */
export const isHealthy = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    (response) => response.status === 200,
    () => false,
  );

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { statusOf } from "../../infra/local/stack.js";
import { InfraError } from "../../infra/problem.js";
import { STORE_READER, storeSecret } from "../store-rights.js";
import type { Operator } from "./agreements-api.js";

/** Where etcd is reached, and by whom: the reader. */
export interface StoreAccess {
  /** `host:port` */
  readonly endpoint: string;
  /** Of the user `reader`. */
  readonly passwordFile: string;
}

/** Where a running local stack is reached. */
export interface StackAccess {
  readonly state: string;
  /** `http://127.0.0.1:PORT` of the API gateway. */
  readonly gateway: string;
  readonly operator: Operator;
  readonly operatorTokenFile: string;
  readonly store: StoreAccess;
}

/** Names of the services that are not ready; empty when the stack is up. Undefined when no service is known: there is no stack. */
export function notReady(state: string): readonly string[] | undefined {
  const { services } = statusOf(state);
  if (services.length === 0) return undefined;
  return services.filter((s) => s.state !== "ready").map((s) => s.name);
}

/** Finds the running stack's addresses and its operator token. Throws EXP-STACK-DOWN when it is not up. */
export function accessTo(state: string): StackAccess {
  const { services } = statusOf(state);
  const port = (service: string, name: string): number => {
    const found = services.find((s) => s.name === service);
    const number = found?.ports[name];
    if (found?.state === "ready" && number !== undefined) return number;
    throw new InfraError({
      code: "EXP-STACK-DOWN",
      message: `${service} is not running`,
      remedy: "bring the stack up: npm run up",
    });
  };
  const operatorTokenFile = join(state, "secrets", "operator-token");
  const orchestrator = `http://127.0.0.1:${port("orchestrator", "http")}`;
  return {
    state,
    gateway: `http://127.0.0.1:${port("api-gateway", "http")}`,
    operator: { url: orchestrator, token: readFileSync(operatorTokenFile, "utf8").trim() },
    operatorTokenFile,
    store: {
      endpoint: `127.0.0.1:${port("store", "client")}`,
      passwordFile: join(state, "secrets", storeSecret(STORE_READER)),
    },
  };
}

import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { FabricApi } from "../../infra/fabric/api.js";
import { parseScenario, type ScenarioInput } from "../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../infra/fabric/emulator/server.js";
import { memoryStore } from "../../infra/fabric/emulator/store.js";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token as FABRIC's would look to the emulator. */
export function testToken(claims: object = {}): string {
  return `${part({ alg: "none" })}.${part({ sub: "test", ...claims })}.${part("signature")}`;
}

export const quick = { nascent: 5, configure: 20, modify: 10, renew: 10, close: 10, poa: 5 };

/** FABRIC's emulator on a free port of this machine. */
export class EmulatedFabric {
  readonly #app: FastifyInstance;
  readonly host: string;
  readonly api: FabricApi;
  /** The calls since the start, `GET /slices` each. */
  readonly calls: readonly string[];

  private constructor(app: FastifyInstance, host: string, calls: readonly string[]) {
    this.#app = app;
    this.calls = calls;
    this.host = host;
    this.api = new FabricApi({ host, token: () => testToken() });
  }

  static async start(scenario: ScenarioInput = {}): Promise<EmulatedFabric> {
    const app = buildEmulator({
      scenario: parseScenario({ delays: quick, ...scenario }),
      store: memoryStore(),
    });
    const calls: string[] = [];
    app.addHook("onRequest", async ({ method, url }) => void calls.push(`${method} ${url.split("?")[0]}`));
    await app.listen({ port: 0, host: "127.0.0.1" });
    return new EmulatedFabric(app, `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, calls);
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }
}

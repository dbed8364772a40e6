/**
 * The emulator as a service: `HTTP_PORT`, `HTTP_HOST` (127.0.0.1, or another address of the loopback), `STATE_FILE`, `SCENARIO_FILE` (none: production),
 * `TLS_CERT_FILE` and `TLS_KEY_FILE` (both: HTTPS), `ADMIN_TOKEN_FILE` (a file it writes, 0600: scenario.ts says what for). It ends on SIGTERM; what it
 * has answered is on disk by then. Arguments: `--hosts`, `--management` (hosts-settings.ts).
 */
import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { InfraError, problemLine } from "../../problem.js";
import { hostsFor, withHosts } from "./hosts-settings.js";
import { buildEmulator } from "./server.js";
import { openStore, readScenario } from "./store.js";

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const port = Number(env.HTTP_PORT);
  if (!env.HTTP_PORT || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InfraError({
      code: "FAB-EMU-ENV",
      path: "HTTP_PORT",
      message: `not a port: ${env.HTTP_PORT ?? "missing"}`,
      remedy: "set HTTP_PORT",
    });
  }
  if (!env.STATE_FILE) {
    throw new InfraError({
      code: "FAB-EMU-ENV",
      path: "STATE_FILE",
      message: "missing",
      remedy: "set STATE_FILE to a file that may be written",
    });
  }
  const host = env.HTTP_HOST || "127.0.0.1";
  // it hands out tokens and takes faults: nothing for a network
  if (host !== "localhost" && host !== "::1" && !/^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)) {
    throw new InfraError({
      code: "FAB-EMU-ENV",
      path: "HTTP_HOST",
      message: `not an address of the loopback: ${host}`,
      remedy: "use 127.0.0.1 or another of 127.0.0.0/8",
    });
  }
  const tls = readTls(env.TLS_KEY_FILE, env.TLS_CERT_FILE);
  const adminToken = env.ADMIN_TOKEN_FILE ? writeAdminToken(env.ADMIN_TOKEN_FILE) : undefined;
  const saved = await openStore(env.STATE_FILE);
  const hosts = await hostsFor(process.argv.slice(2), env, env.STATE_FILE, saved);
  const app = buildEmulator({
    scenario: await readScenario(env.SCENARIO_FILE),
    store: hosts?.store ?? saved,
    ...(tls === undefined ? {} : { tls }),
    ...(adminToken === undefined ? {} : { adminToken }),
  });
  withHosts(app, hosts);
  const stop = (): void => {
    app.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  let address: string;
  try {
    address = await app.listen({ port, host });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new InfraError(
      {
        code: "FAB-EMU-PORT",
        path: "HTTP_PORT",
        message: `cannot listen on ${host}:${port}: ${why}`,
        remedy: "choose a free port",
      },
      { cause: error },
    );
  }
  process.stdout.write(`FABRIC emulator at ${address}\n`);
}

function readTls(key?: string, cert?: string): { readonly key: string; readonly cert: string } | undefined {
  if (!key && !cert) return undefined;
  const read = (path: string, file: string | undefined): string => {
    try {
      return readFileSync(file ?? "", "utf8");
    } catch (error) {
      throw new InfraError({
        code: "FAB-EMU-ENV",
        path,
        message: `cannot be read: ${(error as Error).message}`,
        remedy: "name a PEM file in both TLS_KEY_FILE and TLS_CERT_FILE, or in neither",
      });
    }
  };
  const pair = { key: read("TLS_KEY_FILE", key), cert: read("TLS_CERT_FILE", cert) };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new InfraError({
      code: "FAB-EMU-ENV",
      path: "TLS_CERT_FILE",
      message: `no certificate and key that belong together: ${(error as Error).message}`,
      remedy: "name a PEM file in both TLS_KEY_FILE and TLS_CERT_FILE",
    });
  }
  return pair;
}

/** New at each start. */
function writeAdminToken(file: string): string {
  const token = randomBytes(24).toString("hex");
  try {
    rmSync(file, { force: true });
    writeFileSync(file, token, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new InfraError({
      code: "FAB-EMU-ENV",
      path: "ADMIN_TOKEN_FILE",
      message: `cannot be written: ${(error as Error).message}`,
      remedy: "name a file in a folder that may be written",
    });
  }
  return token;
}

function fail(error: unknown): never {
  const lines =
    error instanceof InfraError
      ? error.problems.map(problemLine)
      : [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exit(1);
}

main(process.env).catch(fail);

/**
 * The emulator as a service: `HTTP_PORT`, `HTTP_HOST` (127.0.0.1), `STATE_FILE`, `SCENARIO_FILE` (none: production). It ends on SIGTERM; what it has
 * answered is on disk by then.
 */
import { InfraError, problemLine } from "../../problem.js";
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
  const app = buildEmulator({
    scenario: await readScenario(env.SCENARIO_FILE),
    store: await openStore(env.STATE_FILE),
  });
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

function fail(error: unknown): never {
  const lines =
    error instanceof InfraError
      ? error.problems.map(problemLine)
      : [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exit(1);
}

main(process.env).catch(fail);

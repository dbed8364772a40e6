import { holderOfPort, isPortFree } from "../infra/local/ports.js";
import { statusOf } from "../infra/local/stack.js";
import { InfraError, type Problem } from "../infra/problem.js";
import { GATEWAY } from "./services.js";

/** Fixed ports that somebody else has, our own running gateway not counted. Codes: LOC-PORT-IN-USE, LOC-PORT-FORBIDDEN. */
export async function portProblems(
  raw: Readonly<Record<string, unknown>>,
  state: string,
): Promise<Problem[]> {
  const port = (raw.ports as { readonly gateway?: unknown } | undefined)?.gateway;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) return [];
  const path = "ports.gateway";
  const own = statusOf(state).services.find((s) => s.name === GATEWAY);
  if (own?.state !== "stopped" && own?.ports.http === port) return [];
  try {
    if (await isPortFree(port)) return [];
  } catch (error) {
    if (error instanceof InfraError) return error.problems.map((p) => ({ ...p, path }));
    throw error;
  }
  return [
    {
      code: "LOC-PORT-IN-USE",
      path,
      message: `port ${port} is in use by ${holderOfPort(port) ?? "another program"}`,
      remedy: "end it, choose another port, or leave the setting out for any free one",
    },
  ];
}

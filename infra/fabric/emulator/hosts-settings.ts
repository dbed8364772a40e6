/** What the emulator's program is told of hosts: `--hosts` and `--management`, or `HOSTS` and `HOSTS_MANAGEMENT`; `HOSTS_FOLDER`, `BASTION_KEYS_FILE`. */
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import type { FastifyInstance } from "fastify";
import { InfraError } from "../../problem.js";
import { type Hosts, openHosts } from "./hosts.js";
import { type HostMode, hostModes, type Management, managements } from "./hosts-record.js";
import type { Store } from "./store.js";

export interface HostSettings {
  readonly mode: Exclude<HostMode, "none">;
  readonly management: Management;
  readonly folder: string;
  readonly bastionKeysFile?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Settings of the hosts; undefined for none, the default.
 *
 * @param args the program's arguments
 * @param stateFile the emulator's; the hosts' folder is `hosts` beside it
 * @throws InfraError `FAB-EMU-ENV`
 */
export function hostSettings(
  args: readonly string[],
  env: Environment,
  stateFile: string,
): HostSettings | undefined {
  const options = { hosts: { type: "string" }, management: { type: "string" } } as const;
  let values: { readonly hosts?: string; readonly management?: string };
  try {
    values = parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw settingError("arguments", (error as Error).message, "use --hosts and --management only");
  }
  const mode = choice("--hosts", values.hosts ?? env.HOSTS, hostModes, "none");
  const management = choice("--management", values.management ?? env.HOSTS_MANAGEMENT, managements, "ipv4");
  if (mode === "none") return undefined;
  const folder = env.HOSTS_FOLDER || join(dirname(stateFile), "hosts");
  return {
    mode,
    management,
    folder,
    ...(env.BASTION_KEYS_FILE ? { bastionKeysFile: env.BASTION_KEYS_FILE } : {}),
  };
}

/** Starts the hosts that were asked for, if any. @throws InfraError `FAB-EMU-ENV`, `FAB-EMU-HOSTS` */
export async function hostsFor(
  args: readonly string[],
  env: Environment,
  stateFile: string,
  store: Store,
): Promise<Hosts | undefined> {
  const settings = hostSettings(args, env, stateFile);
  return settings === undefined ? undefined : await openHosts({ ...settings, store });
}

/** A node that an answer calls active has its host; and the hosts end with the server. */
export function withHosts(app: FastifyInstance, hosts: Hosts | undefined): void {
  if (hosts === undefined) return;
  app.addHook("preHandler", async (request) => {
    if (request.method === "GET" && /^\/(slices|slivers|poas)\b/.test(request.url)) await hosts.settled();
  });
  app.addHook("onClose", () => hosts.close());
}

function choice<T extends string>(
  path: string,
  value: string | undefined,
  all: readonly T[],
  otherwise: T,
): T {
  if (value === undefined || value === "") return otherwise;
  const found = all.find((one) => one === value);
  if (found === undefined)
    throw settingError(path, `${value} is none of ${all.join(", ")}`, "use one of these");
  return found;
}

function settingError(path: string, message: string, remedy: string): InfraError {
  return new InfraError({ code: "FAB-EMU-ENV", path, message, remedy });
}

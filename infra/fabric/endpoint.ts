/** From an endpoint's plain data to an API that can be called: files, the stack's supervisor. I/O. */
import { join } from "node:path";
import { connect, ensureSupervisor } from "../local/client.js";
import { findProject } from "../local/package-folder.js";
import type { ServiceStatus } from "../local/service.js";
import { statusOf } from "../local/stack.js";
import { InfraError } from "../problem.js";
import { FabricApi } from "./api.js";
import { expandHome, readSettings } from "./credentials.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { localLogins } from "./local-logins.js";
import { localToken } from "./local-token.js";
import { readPublicKey, readSshCredentials, type SshCredentials } from "./ssh-credentials.js";
import { currentToken, freshToken } from "./token-refresh.js";

/** What a provider needs to work. */
export interface FabricAccess {
  readonly api: FabricApi;
  /** What the token says at this moment, for checks ahead; it may have ended where it can be refreshed. Calls get a fresh one by themselves. */
  readonly token: () => string;
  /** Public keys that a new slice gets. Read only when a slice is made. */
  readonly sshKeys: () => readonly string[];
  /** What a log-in to a node takes. Read and checked when it is asked for; undefined where nodes have no SSH. @throws InfraError */
  readonly ssh: () => SshCredentials | undefined;
}

/**
 * Opens an endpoint. The emulator is started again when it is down but registered (after a reboot, say).
 *
 * @throws InfraError FAB-LOCAL-GONE when the stack has no such service any more: its slices went with it. FAB-RC-MISSING, FAB-UNREACHABLE, LOC-*.
 */
export async function openEndpoint(
  endpoint: FabricEndpoint,
  folder: string = process.cwd(),
): Promise<FabricAccess> {
  if (endpoint.kind === "local") return await openLocal(endpoint, folder);
  const settings = readSettings(endpoint.rc);
  const tokenFile = endpoint.tokenFile === undefined ? settings.tokenFile : expandHome(endpoint.tokenFile);
  const source = {
    file: tokenFile,
    host: settings.credmgrHost,
    ...(settings.projectId === undefined ? {} : { projectId: settings.projectId }),
  };
  return {
    api: new FabricApi({ host: endpoint.host ?? settings.host, token: () => freshToken(source) }),
    token: () => currentToken(tokenFile),
    sshKeys: () => [readPublicKey(settings.publicKeyFile)],
    ssh: () => readSshCredentials(settings),
  };
}

async function openLocal(
  endpoint: Extract<FabricEndpoint, { kind: "local" }>,
  folder: string,
): Promise<FabricAccess> {
  const project = findProject(folder);
  const state = join(project, endpoint.state);
  const status = await runningService(state, project, endpoint.service);
  const port = status.ports.http;
  if (port === undefined) {
    throw new InfraError({
      code: "FAB-UNREACHABLE",
      message: `the service ${endpoint.service} has no port named http`,
      remedy: "give its ServiceSpec one",
    });
  }
  const token = () => localToken(state);
  return {
    api: new FabricApi({ host: `http://127.0.0.1:${port}`, token }),
    token,
    ...(endpoint.hosts === undefined || endpoint.hosts === "none"
      ? { sshKeys: () => [nobodysKey], ssh: () => undefined }
      : localLogins(state, status.folder)),
  };
}

async function runningService(state: string, project: string, name: string): Promise<ServiceStatus> {
  const known = statusOf(state).services.find((s) => s.name === name);
  if (known === undefined) {
    throw new InfraError({
      code: "FAB-LOCAL-GONE",
      message: `the stack's state folder knows no service ${name}`,
      remedy: "the emulator and its slices are gone; up makes them anew",
    });
  }
  if (known.state === "ready" && connect(state) !== undefined) return known;
  return await (await ensureSupervisor(state, project)).start(name);
}

/** A key that opens nothing: emulated nodes have no SSH. */
const nobodysKey = `ssh-ed25519 ${Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from("ssh-ed25519"), Buffer.from([0, 0, 0, 32]), Buffer.alloc(32)]).toString("base64")} nobody`;

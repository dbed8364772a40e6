/** The ssh_config of each slice, in the stack's state folder. I/O. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import { openEndpoint } from "./endpoint.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import type { SliceView } from "./slice-view.js";
import { loginOf, type SshHost, writeSshConfig } from "./ssh-config.js";
import type { SshCredentials } from "./ssh-credentials.js";

/** Where {@link writeLogins} writes: `ssh -F FILE NODE`. */
export function loginsFile(state: string, slice: string): string {
  return join(state, "ssh", `${encodeURIComponent(slice)}.config`);
}

/** The nodes of a slice that have a management address, as ssh_config names them. Pure. */
export function sshHosts(view: SliceView, logins: SshCredentials["logins"] = {}): readonly SshHost[] {
  return view.nodes.flatMap((node) => {
    if (node.managementIp === undefined) return [];
    const { id } = node.reservation;
    const own = id === undefined ? undefined : logins[id];
    return {
      name: node.name,
      address: node.managementIp,
      user: own?.user ?? loginOf(node.image),
      ...(own === undefined ? {} : { port: own.port }),
      // of the sliver: a node that was replaced may get the old one's address, and has another key
      ...(id === undefined ? {} : { hostKeyAlias: id }),
    };
  });
}

/**
 * Writes the slice's ssh_config (0600). What is missing for it, such as a bastion's key, is told on standard error and is no failure: the slice is
 * there all the same.
 *
 * @param folder in a project's folder
 */
export async function writeLogins(
  state: string,
  slice: { readonly name: string; readonly endpoint: FabricEndpoint },
  view: SliceView,
  folder: string = process.cwd(),
): Promise<void> {
  try {
    const credentials = (await openEndpoint(slice.endpoint, folder)).ssh();
    if (credentials === undefined) return;
    const { bastion, sliceKeyFile, logins } = credentials;
    const knownHostsFile = join(state, "ssh", "known_hosts");
    writeSshConfig(
      loginsFile(state, slice.name),
      sshHosts(view, logins),
      { sliceKeyFile, knownHostsFile },
      bastion,
    );
  } catch (error) {
    if (!(error instanceof InfraError)) throw error;
    process.stderr.write(`no ssh_config for ${slice.name}: ${error.message}\n`);
  }
}

/** Removes it with its slice. */
export function forgetLogins(state: string, slice: string): void {
  rmSync(loginsFile(state, slice), { force: true });
}

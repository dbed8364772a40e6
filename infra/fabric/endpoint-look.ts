/** Where an endpoint is, for who only looks: nothing is started and no token is spent. */
import { join } from "node:path";
import { projectFolder } from "../local/package-folder.js";
import { readyPort } from "../local/stack.js";
import { expandHome, readSettings } from "./credentials.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { localToken } from "./local-token.js";
import { currentToken } from "./token-refresh.js";

/** Both read files when they are asked, and throw InfraError for one that is not as it should be. */
export interface EndpointLook {
  /** Name or address; undefined for an emulator that does not run. */
  readonly host: () => string | undefined;
  /** What the token says at this moment; it may have ended where it can be refreshed. */
  readonly token: () => string;
}

/** @param folder that of Pulumi.yaml, or below */
export function lookAt(endpoint: FabricEndpoint, folder: string = process.cwd()): EndpointLook {
  if (endpoint.kind === "local") {
    const state = join(projectFolder(folder) ?? folder, endpoint.state);
    return {
      host: () => {
        const port = readyPort(state, endpoint.service, "http");
        return port === undefined ? undefined : `http://127.0.0.1:${port}`;
      },
      token: () => localToken(state),
    };
  }
  return {
    host: () => endpoint.host ?? readSettings(endpoint.rc).host,
    token: () =>
      currentToken(
        endpoint.tokenFile === undefined
          ? readSettings(endpoint.rc).tokenFile
          : expandHome(endpoint.tokenFile),
      ),
  };
}

import { readFileSync } from "node:fs";
import { statusOf } from "../../infra/local/stack.js";
import { StateFolder } from "../../infra/local/state-folder.js";
import { InfraError } from "../../infra/problem.js";
import { ROLE, type TokenAnswer, type TokenOrder } from "../../policy/contract/users.js";
import { DEVELOPMENT_ISSUER, ISSUER_SECRET } from "../services.js";

/** Where the stack's users come from an issuer of their own, commands that send requests take the token from this variable. */
export const TOKEN_VARIABLE = "DYNAMOS_FABRIC_TOKEN";

export interface DevelopmentIssuer {
  /** As tokens name it. */
  readonly url: string;
  readonly secretFile: string;
}

const callSeconds = 5;

/** The running stack's development issuer; undefined when its users come from elsewhere. Throws EXP-STACK-DOWN when it is not running. */
export function developmentIssuer(state: string): DevelopmentIssuer | undefined {
  const service = statusOf(state).services.find((s) => s.name === DEVELOPMENT_ISSUER);
  if (service === undefined) return undefined;
  if (service.state !== "ready")
    throw new InfraError({
      code: "EXP-STACK-DOWN",
      message: `${DEVELOPMENT_ISSUER} is not running`,
      remedy: "bring the stack up: npm run up",
    });
  return {
    url: `http://127.0.0.1:${service.ports.http}`,
    secretFile: new StateFolder(state).secretFile(ISSUER_SECRET),
  };
}

/** A token with which this user may send requests: of the development issuer, else the one of {@link TOKEN_VARIABLE}. */
export async function requesterToken(state: string, user: string): Promise<string> {
  const issuer = developmentIssuer(state);
  if (issuer !== undefined) return developmentToken(issuer, { user, roles: [ROLE.requester] });
  const token = process.env[TOKEN_VARIABLE];
  if (token) return token;
  throw new InfraError({
    code: "USR-TOKEN-MISSING",
    path: TOKEN_VARIABLE,
    message: `${user}'s requests need an access token, and this stack has no development issuer`,
    remedy: `get one from the issuer that the configuration names in users.issuer, and set ${TOKEN_VARIABLE}`,
  });
}

/** Asks the development issuer for a token. Throws what it says is wrong, or USR-ISSUER-SILENT. */
export async function developmentToken(
  { url, secretFile }: DevelopmentIssuer,
  order: TokenOrder,
): Promise<string> {
  let status: number;
  let body: Partial<
    TokenAnswer & { readonly code: string; readonly message: string; readonly remedy: string }
  >;
  try {
    const response = await fetch(`${url}/token`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${readFileSync(secretFile, "utf8").trim()}`,
        "content-type": "application/json",
      },
      body: JSON.stringify(order),
      signal: AbortSignal.timeout(callSeconds * 1000),
    });
    status = response.status;
    body = (await response.json()) as typeof body;
  } catch (error) {
    throw new InfraError(
      {
        code: "USR-ISSUER-SILENT",
        message: `the development issuer ${url} does not answer: ${error instanceof Error ? error.message : String(error)}`,
        remedy: "see dynamos-fabric status; `up` starts what is down",
      },
      { cause: error },
    );
  }
  if (body.access_token !== undefined) return body.access_token;
  throw new InfraError({
    code: body.code ?? "USR-ISSUER-SILENT",
    message: body.message ?? `the development issuer answered HTTP ${status}`,
    ...(body.remedy === undefined ? {} : { remedy: body.remedy }),
  });
}

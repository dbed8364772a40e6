import { defaultTags } from "../../../infra/fabric/emulator/scenario.js";

export interface TokenClaims {
  readonly uuid?: string;
  readonly email?: string;
  readonly exp?: number;
  readonly project?: string;
  readonly tags?: readonly string[];
}

/** A token shaped like credential manager's. Its signature is nothing, which the emulator does not mind. */
export function makeToken(claims: TokenClaims = {}): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const payload = {
    email: claims.email ?? "ada@uva.nl",
    uuid: claims.uuid ?? "user-1",
    exp: claims.exp ?? Math.floor(Date.now() / 1000) + 3600,
    projects: [{ uuid: claims.project ?? "project-1", name: "Project", tags: claims.tags ?? defaultTags }],
  };
  return `${part({ alg: "RS256", typ: "JWT" })}.${part(payload)}.c2ln`;
}

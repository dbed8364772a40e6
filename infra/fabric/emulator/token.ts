/**
 * Who calls: what a bearer token's claims say. Anything that looks like a token will do, unless the scenario names the only valid ones or wants those of
 * the emulator's credential manager.
 */
import { z } from "zod";
import { ApiError } from "./api-error.js";
import { tokenFault } from "./credential-manager.js";
import type { EmulatorState } from "./model.js";
import type { Scenario } from "./scenario.js";

export interface Identity {
  readonly id: string;
  readonly email: string;
  readonly project: { readonly id: string; readonly name: string };
  /** The project's rights. */
  readonly tags: readonly string[];
}

const claimsSchema = z.looseObject({
  email: z.string().optional(),
  uuid: z.string().optional(),
  sub: z.string().optional(),
  exp: z.number().optional(),
  projects: z
    .array(
      z.looseObject({ uuid: z.string(), name: z.string().optional(), tags: z.array(z.string()).optional() }),
    )
    .optional(),
});

/** @throws ApiError 500, as the real one answers a token it cannot use */
export function identify(token: string, scenario: Scenario, state: EmulatorState, now: number): Identity {
  const invalid = (why: string) => new ApiError(500, `Unable to validate provided token: ${why}`);
  const parts = token.split(".");
  if (parts.length !== 3) throw invalid("ValidateCode.UNPARSABLE_TOKEN/JWT must have 3 parts");
  const claims = claimsSchema.safeParse(decoded(parts[1] ?? ""));
  if (!claims.success) throw invalid("ValidateCode.UNPARSABLE_TOKEN/Invalid payload");
  if (scenario.tokens !== undefined && !scenario.tokens.includes(token))
    throw invalid("ValidateCode.INVALID/Signature verification failed");
  const fault = scenario.auth === "signed" ? tokenFault(state.credentials, token) : undefined;
  if (fault !== undefined) throw new ApiError(500, fault);
  const { email, uuid, sub, exp, projects } = claims.data;
  if (exp !== undefined && exp * 1000 <= now) throw invalid("ValidateCode.INVALID/Signature has expired");
  const { identity } = scenario;
  const project = projects?.[0];
  return {
    id: uuid ?? sub ?? identity.uuid,
    email: email ?? identity.email,
    project: { id: project?.uuid ?? identity.project.uuid, name: project?.name ?? identity.project.name },
    tags: project?.tags ?? identity.project.tags,
  };
}

function decoded(payload: string): unknown {
  try {
    return JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  } catch {
    return undefined; // refused by the schema
  }
}

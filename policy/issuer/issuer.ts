import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { USER_PATTERN } from "../contract/json-schemas.js";
import { CodedError } from "../contract/problem.js";
import { DEVELOPMENT_TOKEN_SECONDS, TOKEN_DEFAULTS, type TokenAnswer } from "../contract/users.js";
import { bearerCheck } from "../platform/bearer.js";
import { createHttp } from "../platform/health.js";
import type { Logger } from "../platform/log.js";
import { ALGORITHM, type IssuerKeyring } from "./issuer-keyring.js";

export interface IssuerOptions {
  /** Its URL, as tokens name it. */
  readonly issuer: () => string;
  readonly keyring: IssuerKeyring;
  /** Who bears it gets a token for any user. */
  readonly secret: string;
  readonly log: Logger;
}

/** A key signs for a day: longer than any token of the key before it counts. */
const KEY_MS = DEVELOPMENT_TOKEN_SECONDS.most * 1000;

const orderSchema = z.strictObject({
  user: z.string().regex(new RegExp(USER_PATTERN), "1 to 254 characters without spaces and slashes"),
  roles: z.array(z.string().min(1).max(80)).max(64),
  seconds: z.int().min(1).max(DEVELOPMENT_TOKEN_SECONDS.most).default(DEVELOPMENT_TOKEN_SECONDS.default),
});

/**
 * An OpenID Connect issuer for development: it asks nobody for a password. Who has its secret (a file of the stack's state folder) gets a token for any
 * user. `GET /.well-known/openid-configuration` says that it is one, `GET /jwks` gives its public keys, `POST /token` a token.
 */
export function createIssuer({ issuer, keyring, secret, log }: IssuerOptions): FastifyInstance {
  const app = createHttp({ log, codes: "USR" });
  const mayAsk = bearerCheck(secret);

  app.get("/.well-known/openid-configuration", () => ({
    issuer: issuer(),
    jwks_uri: `${issuer()}/jwks`,
    token_endpoint: `${issuer()}/token`,
    id_token_signing_alg_values_supported: [ALGORITHM],
    subject_types_supported: ["public"],
    response_types_supported: [],
    development: true,
    description:
      "The development issuer of a dynamos-fabric stack on this machine: it knows no passwords. Not for use by others.",
  }));

  app.get("/jwks", () => keyring.publicKeys());

  app.post("/token", async (request, reply): Promise<TokenAnswer> => {
    if (!mayAsk(request.headers.authorization))
      throw new CodedError({
        code: "USR-NOT-ALLOWED",
        path: "authorization",
        message: "this needs the development issuer's secret",
        remedy: "ask with `dynamos-fabric token`, which reads it from the stack's state folder",
      });
    const order = orderSchema.safeParse(request.body);
    if (!order.success) throw wrongOrder(order.error);
    const { user, roles, seconds } = order.data;
    if (Date.now() - keyring.rotatedAt > KEY_MS) await keyring.rotate();
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer(), aud: TOKEN_DEFAULTS.audience, jti: randomUUID() };
    const token = await keyring.sign({ ...claims, sub: user, roles, iat: now, nbf: now, exp: now + seconds });
    log.info({ user, roles, seconds }, "a development token was made");
    void reply.header("cache-control", "no-store");
    return { access_token: token, token_type: "Bearer", expires_in: seconds };
  });
  return app;
}

function wrongOrder(error: z.ZodError): CodedError {
  const [first] = error.issues;
  return new CodedError({
    code: "USR-ORDER",
    path: first?.path.join(".") ?? "",
    message: error.issues.map((i) => `${i.path.join(".") || "(body)"}: ${i.message}`).join("; "),
    remedy: "send a user's name, a list of roles, and optionally seconds",
  });
}

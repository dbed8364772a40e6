import type { FastifyInstance, FastifyRequest } from "fastify";
import { CodedError } from "../contract/problem.js";
import type { Principal } from "./principal.js";
import { userStatusOf } from "./rights.js";
import type { Users } from "./verifier.js";

const NAME = "principal";

/** Lets in only calls whose token is right, before their body is read; {@link principalIn} tells whose it is. */
export function onlyUsers(app: FastifyInstance, users: Users): void {
  app.decorateRequest(NAME, null);
  app.addHook("onRequest", async (request, reply) => {
    try {
      request.setDecorator<Principal>(NAME, await users.principal(request.headers.authorization));
    } catch (error) {
      // RFC 6750, 3: what went wrong with the token, for programs.
      if (error instanceof CodedError && userStatusOf(error.code) === 401)
        reply.header("www-authenticate", challenge(error.code));
      throw error;
    }
  });
}

/** Whose token a call that was let in bears. */
export const principalIn = (request: FastifyRequest): Principal => request.getDecorator<Principal>(NAME);

export const challenge = (code: string): string =>
  code === "USR-TOKEN-MISSING" ? "Bearer" : 'Bearer error="invalid_token"';

import type { FastifyInstance } from "fastify";
import type { GrantClaims } from "../contract/grants.js";
import { PART_LIMITS } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";
import { ANSWER_ROUTE, ANSWER_TYPE, decodeAnswer } from "../rounds/messages.js";
import { tasksOf } from "../rounds/plan.js";
import type { GrantReader } from "./admission.js";
import type { Jobs } from "./jobs.js";
import type { Plans } from "./plans.js";

export interface AnswersRouteOptions {
  readonly agent: string;
  readonly jobs: Jobs;
  readonly grants: GrantReader;
  readonly plans: Plans;
}

/** A message's other fields beside its parts. */
const ROOM_FOR_REST = 1024 * 1024;

interface Params {
  readonly job: string;
  readonly round: string;
  readonly step: string;
  readonly from: string;
}

/**
 * `PUT` of another agent's answer (docs/architecture.md, A round). By the grant of that round alone, and only what one of this agent's own steps waits
 * for. It is kept, not worked on: for that the round's own ticket must come.
 */
export function addAnswersRoute(http: FastifyInstance, options: AnswersRouteOptions): void {
  const { agent, jobs, grants, plans } = options;
  http.addContentTypeParser(ANSWER_TYPE, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  http.put<{ Params: Params; Body: Buffer }>(
    ANSWER_ROUTE,
    { bodyLimit: PART_LIMITS.bytes + ROOM_FOR_REST },
    async ({ params, headers, body }, reply) => {
      const { step, from } = params;
      const round = Number(params.round);
      const grant = /^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
      const job = jobs.get(params.job);
      // A round that is in may end, also when its grant's time is over meanwhile.
      const claims = await (job.admission.admitted(grant) ?? grants.verify(grant));
      if (claims.job !== params.job || claims.round !== round)
        throw new CodedError({
          code: "AGT-GRANT-ROUND",
          path: "authorization",
          message: `the grant is for round ${claims.round} of job ${claims.job}, not for round ${params.round} of ${params.job}`,
        });
      checkExpected(claims, step, from);
      job.inputs.give(round, step, from, decodeAnswer(body), body.length);
      return reply.code(204).send();
    },
  );

  const checkExpected = (claims: GrantClaims, step: string, from: string): void => {
    const { plan, composition } = plans.of(claims);
    const waits = tasksOf(plan, composition, agent).flatMap(({ waitsFor }) => waitsFor);
    if (waits.some((w) => w.step === step && w.from === from)) return;
    throw new CodedError({
      code: "AGT-ANSWER-UNEXPECTED",
      path: `${step}/${from}`,
      message: `no step of ${agent} in ${claims.requestType} waits for ${from}'s answer to ${step}`,
      remedy: "hand answers over to the agents whose steps name them as inputs",
    });
  };
}

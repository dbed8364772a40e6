import type { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { FILE_LIMITS } from "../contract/files.js";
import type { GrantClaims } from "../contract/grants.js";
import { PART_LIMITS } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";
import {
  ANSWER_ROUTE,
  ANSWER_TYPE,
  decodeAnswer,
  FILE_ROUTE,
  FILE_TYPE,
  SENDER_HEADER,
} from "../rounds/messages.js";
import { tasksOf } from "../rounds/plan.js";
import { type GrantReader, grantMissing } from "./admission.js";
import type { Jobs } from "./jobs.js";
import { safeName } from "./messages.js";
import type { Plans } from "./plans.js";
import { SEAL_BYTES, type Senders } from "./sender.js";

export interface AnswersRouteOptions {
  readonly agent: string;
  readonly jobs: Jobs;
  readonly grants: GrantReader;
  readonly plans: Plans;
  readonly senders: Senders;
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
 * `PUT` of another agent's answer (docs/architecture.md, A round). By the grant of that round alone, only what one of this agent's own steps waits
 * for, and only by the agent that it names as its sender. It is kept, not worked on: for that the round's own ticket must come. Files of the answer
 * come before it, each by a `PUT` of its own, and go to the disk as they come.
 */
export function addAnswersRoute(http: FastifyInstance, options: AnswersRouteOptions): void {
  const { agent, jobs, grants, plans, senders } = options;
  http.addContentTypeParser(ANSWER_TYPE, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  http.put<{ Params: Params; Body: unknown }>(
    ANSWER_ROUTE,
    {
      bodyLimit: PART_LIMITS.bytes + ROOM_FOR_REST,
      // Before the body is read: who has no right to hand something over must not make us hold it.
      onRequest: ({ params, headers }) => checkRight(params, bearer(headers.authorization)),
    },
    async ({ params: { job, round, step, from }, body, headers }, reply) => {
      if (!Buffer.isBuffer(body))
        throw new CodedError({
          code: "BUS-MALFORMED",
          path: "content-type",
          message: "the body is no step's answer",
          remedy: `send it as ${ANSWER_TYPE}`,
        });
      const work = { job, round: Number(round), step, grant: bearer(headers.authorization) ?? "" };
      senders.verify(from, work, body, String(headers[SENDER_HEADER] ?? ""));
      const { inputs, files } = jobs.get(job);
      const { answer, sizes } = decodeAnswer(body);
      const held = files.received({ round: Number(round), step, from }, sizes);
      inputs.give(Number(round), step, from, { ...answer, files: held }, body.length);
      return reply.code(204).send();
    },
  );

  // The body stays a stream: what is not taken yet waits at its sender.
  http.addContentTypeParser(FILE_TYPE, (_request, body, done) => done(null, body));
  http.put<{ Params: Params & { readonly file: string }; Body: Readable }>(
    FILE_ROUTE,
    {
      bodyLimit: FILE_LIMITS.bytes + SEAL_BYTES,
      onRequest: ({ params, headers }) => checkRight(params, bearer(headers.authorization)),
    },
    async ({ params: { job, round, step, from, file }, body, headers }, reply) => {
      const bytes = Number(headers["content-length"] ?? Number.NaN) - SEAL_BYTES;
      if (headers["content-type"] !== FILE_TYPE || !(bytes >= 0))
        throw new CodedError({
          code: "BUS-MALFORMED",
          path: "content-length",
          message: "the body is no file, or does not say how long it is",
          remedy: `send it as ${FILE_TYPE}, with its length`,
        });
      const work = { job, round: Number(round), step, grant: bearer(headers.authorization) ?? "", file };
      const { files, ended } = jobs.get(job);
      const name = { round: Number(round), step, from, file: safeName(file, "file") };
      const unseal = (source: AsyncIterable<Buffer>) => senders.unseal(from, work, bytes, source);
      await files.receive(name, bytes, body, unseal, ended.signal);
      return reply.code(204).send();
    },
  );

  const checkRight = async (params: Params, grant: string | undefined): Promise<void> => {
    if (grant === undefined) throw grantMissing("authorization");
    // A round that is in may end, also when its grant's time is over meanwhile.
    const claims = await (jobs.get(params.job).admission.admitted(grant) ?? grants.verify(grant));
    if (claims.job !== params.job || String(claims.round) !== params.round)
      throw new CodedError({
        code: claims.job === params.job ? "AGT-GRANT-ROUND" : "AGT-GRANT-JOB",
        path: "authorization",
        message: `the grant is for round ${claims.round} of job ${claims.job}, not for round ${params.round} of ${params.job}`,
        remedy: "hand an answer over with the grant of its own round",
      });
    checkExpected(claims, params.step, params.from);
  };

  const checkExpected = (claims: GrantClaims, step: string, from: string): void => {
    const { plan, composition } = plans.of(claims);
    const waits = tasksOf(plan, composition, agent).flatMap(({ waitsFor }) => waitsFor);
    if (from !== agent && waits.some((w) => w.step === step && w.from === from)) return;
    throw new CodedError({
      code: "AGT-ANSWER-UNEXPECTED",
      path: `${step}/${from}`,
      message: `no step of ${agent} in ${claims.requestType} waits for ${from}'s answer to ${step}`,
      remedy: "hand answers over to the agents whose steps name them as inputs",
    });
  };
}

const bearer = (authorization: string | undefined): string | undefined =>
  /^Bearer (\S+)$/.exec(authorization ?? "")?.[1];

import { randomUUID } from "node:crypto";
import type { GrantClaims } from "../contract/grants.js";
import { ENFORCER_QUEUE, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { type Draft, encode, type RequestApproval, type ValidationResponse } from "../contract/wire.js";
import type { Decision } from "../decision/index.js";
import type { Bus, Consumer, Incoming, Verdict } from "../platform/bus.js";
import { GrantSigner } from "../platform/grants.js";
import { type Logger, problemOf } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { answer } from "./answer.js";
import type { Audit } from "./audit.js";
import { agreementEntry, decisionEntries, type SignedGrant } from "./audit-facts.js";
import type { EnforcerMetrics } from "./metrics.js";
import { PolicyView } from "./policy-view.js";
import { readRequest } from "./read-request.js";
import { openRound, roundConflict } from "./rounds.js";

export interface EnforcerParts {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Logger;
  readonly metrics: EnforcerMetrics;
  /** The enforcer's to close. */
  readonly audit: Audit;
}

/** A decision as it is answered and recorded. */
interface Decided {
  readonly decision: Decision;
  readonly response: Draft<ValidationResponse>;
  readonly grant?: SignedGrant;
}

/** Decisions on one round, when the agreements change between decision and opening. */
const MOST_OPENINGS = 3;
/** How long the opening of a round waits for a store that restarts: less than its asker waits for us. */
const OPENING_MS = 10_000;
/** While rounds wait for the store, first approvals, which need no store, are still handed out. */
const PREFETCH = 2_000;
/** How long a decision waits for a change that is known of. The round's transaction is what makes it safe. */
const BEHIND_MS = 500;
/** What of a failure goes out: no stack. */
const PROBLEM_FIELDS = ["code", "path", "message", "remedy"];

/** The policy enforcer: decides each request by the agreements as the store holds them, and signs what it allows. */
export class Enforcer {
  readonly #parts: EnforcerParts;
  readonly #view: PolicyView;
  readonly #signer: GrantSigner;
  #consumer: Consumer | undefined;

  private constructor(parts: EnforcerParts, view: PolicyView, signer: GrantSigner) {
    this.#parts = parts;
    this.#view = view;
    this.#signer = signer;
  }

  /** Begins to answer. Its signing key is in the store before. */
  static async start(parts: EnforcerParts): Promise<Enforcer> {
    const signer = new GrantSigner();
    const [view] = await Promise.all([PolicyView.open(parts.store, parts.log), signer.publish(parts.store)]);
    const enforcer = new Enforcer(parts, view, signer);
    const { revision } = view.now();
    // Nobody waits for these: what cannot be written is tried again, and no decision goes out meanwhile.
    void parts.audit.append({ kind: "start", facts: { key: signer.key.kid, revision } }).catch(() => {});
    view.onAgreement((steward, change) => {
      void parts.audit.append(agreementEntry(steward, change)).catch(() => {});
    });
    enforcer.#consumer = await parts.bus.consume(ENFORCER_QUEUE, (message) => enforcer.#handle(message), {
      prefetch: PREFETCH,
    });
    return enforcer;
  }

  /** Answers what it has begun, then stops. */
  async close(): Promise<void> {
    const stopped = this.#consumer?.stop();
    // A request whose record cannot be written goes back to the broker: the next enforcer decides it again.
    this.#parts.audit.giveUp();
    await stopped;
    await this.#view.close();
    await this.#parts.audit.close();
  }

  async #handle(message: Incoming): Promise<Verdict> {
    const { log, metrics, audit } = this.#parts;
    const { correlationId } = message;
    const begin = process.hrtime.bigint();
    let request: RequestApproval;
    try {
      request = readRequest(message);
    } catch (error) {
      // Never fatal: whoever can write to the queue must not be able to stop decisions.
      metrics.refusedMessages.inc();
      log.warn(
        { type: message.type, correlationId, error },
        "a message that is no request; it goes to the dead-letter queue",
      );
      return "drop";
    }
    if (audit.trouble !== undefined) {
      if (!message.redelivered) return this.#undecided(request, message, audit.trouble);
      // It may have been answered without its record being on disk: it must not be acknowledged before there is one.
      if (!(await recorded(audit.append()))) return "requeue";
    }
    if (request.leastRevision > this.#view.now().revision) {
      try {
        await this.#view.seen(request.leastRevision, BEHIND_MS);
      } catch (error) {
        return this.#undecided(request, message, problemOf(error));
      }
    }
    const { decision, response, grant } = await this.#decide(request);
    // The answer goes first. The request is acknowledged after both its confirm and its record, so a crash between them decides again.
    const sent = this.#send(message, response);
    const record = recorded(audit.append(...decisionEntries(correlationId, request, response, grant)));
    if (!(await sent)) return "requeue";
    metrics.decisions.inc({ decision: decision.decision });
    metrics.seconds.observe(Number(process.hrtime.bigint() - begin) / 1e9);
    const told = {
      correlationId,
      job: request.jobId,
      round: request.round,
      type: request.type,
      revision: response.revision,
    };
    if (decision.decision === "deny") log.info({ ...told, reasons: decision.reasons }, "denied");
    else if (response.error !== undefined)
      log.warn({ ...told, problem: response.error }, "allowed, but the round could not be opened");
    else log.debug(told, "allowed");
    return (await record) ? "ack" : "requeue";
  }

  /** Whether the broker has the answer. */
  async #send({ correlationId, headers }: Incoming, response: Draft<ValidationResponse>): Promise<boolean> {
    try {
      await this.#parts.bus.publish(
        ORCHESTRATOR_QUEUE,
        MESSAGE.validationResponse,
        encode.validationResponse(response),
        {
          ...(correlationId === undefined ? {} : { correlationId }),
          ...(headers.binaryTrace === undefined ? {} : { headers: { binaryTrace: headers.binaryTrace } }),
        },
      );
      return true;
    } catch (error) {
      if (error instanceof CodedError && error.code === "BUS-UNROUTABLE") throw error; // nobody is there to hear: told and dead-lettered
      this.#parts.log.warn(
        { error, correlationId },
        "a decision could not be sent; its request is decided again",
      );
      return false;
    }
  }

  /** Nothing is decided that could not be recorded, or by less than was asked for: the answer says so, and is no refusal. */
  async #undecided(request: RequestApproval, message: Incoming, problem: Problem): Promise<Verdict> {
    const response: Draft<ValidationResponse> = {
      type: "validationResponse",
      requestType: request.type,
      user: request.user ?? {},
      requestApproved: false,
      invalidDataproviders: request.dataProviders,
      jobId: request.jobId,
      round: request.round,
      error: JSON.stringify(problem, PROBLEM_FIELDS),
    };
    return (await this.#send(message, response)) ? "ack" : "requeue";
  }

  /** Decides, and opens the round that is asked for: what is signed is true of the very revision at which the round was opened. */
  async #decide(request: RequestApproval): Promise<Decided> {
    const deadline = performance.now() + OPENING_MS;
    let openMs = 0;
    for (let attempt = 1; ; attempt += 1) {
      const { decision, response, claims } = answer(request, this.#view.now());
      if (claims === undefined) return { decision, response };
      const begin = performance.now();
      const patience = Math.max(0, deadline - begin);
      const outcome = await openRound(this.#parts.store, claims, patience).catch(problemOf);
      openMs += performance.now() - begin;
      if ("token" in outcome) {
        const granted = this.#granted(response, { ...claims, token: outcome.token });
        return {
          decision,
          ...granted,
          response: { ...granted.response, token: outcome.token, openMs },
        };
      }
      if ("changedAt" in outcome && attempt < MOST_OPENINGS) {
        // Being behind is no error here: the next transaction finds out again.
        await this.#view.seen(outcome.changedAt, BEHIND_MS).catch(() => {});
        continue;
      }
      const problem = "changedAt" in outcome ? roundConflict(request.round) : outcome;
      return { decision, response: { ...response, openMs, error: JSON.stringify(problem, PROBLEM_FIELDS) } };
    }
  }

  #granted(response: Draft<ValidationResponse>, claims: GrantClaims): Required<Omit<Decided, "decision">> {
    const jti = randomUUID();
    const accessToken = this.#signer.sign(claims, Date.now(), jti);
    return { response: { ...response, auth: { accessToken, refreshToken: "" } }, grant: { jti, claims } };
  }
}

/** Whether records came to the disk: `false` where the enforcer ends before. */
function recorded(appended: Promise<void>): Promise<boolean> {
  return appended.then(
    () => true,
    () => false,
  );
}

import { randomUUID } from "node:crypto";
import type { JobEnd, JobRevoked, RoundReport } from "../contract/job.js";
import { CANCEL, GATEWAY_QUEUE, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { RequestBody } from "../contract/schemas.js";
import {
  decode,
  encode,
  type MicroserviceCommunication,
  messageType,
  type RequestApprovalResponse,
} from "../contract/wire.js";
import { JobLog, JobTable } from "../jobs/job-log.js";
import type { Bus, Consumer, Incoming, Verdict } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import { Pending } from "../platform/pending.js";
import type { RequestUser } from "../users/rights.js";

/** A request in the name of a user whom the gateway knows. */
export type UserRequest = RequestBody & { readonly user: RequestUser };

/** A job whose data request went through this gateway. */
export interface GatewayJob {
  readonly log: JobLog;
  /** Whose job it is; absent while only its reports are known, and the store has not been asked. */
  readonly user?: string;
  /** Of its data request; empty: another gateway, or this one before it was restarted, has sent it. */
  readonly correlationId: string;
}

export interface ConversationOptions {
  readonly bus: Bus;
  readonly log: Logger;
  /** Milliseconds for an approval. Default 10 s. */
  readonly approvalDeadline?: number;
  /** Approvals that wait at the same time. Default 10000. */
  readonly mostWaiting?: number;
}

const DEFAULTS = { approvalDeadline: 10_000, mostWaiting: 10_000 } as const;
/** A broker that blinks is not told to those who wait; one that is away is, within the second. */
const BROKER_GRACE_MS = 800;
/** Messages here are only noted, so this bounds nothing but a burst. */
const PREFETCH = 2_000;

/** The gateway's talk with the orchestrator. Answers find their call by its correlation id, reports their job by its job id: never by user. */
export class Conversation {
  readonly jobs = new JobTable<GatewayJob>();
  readonly #options: ConversationOptions;
  readonly #approvals = new Pending<RequestApprovalResponse>(
    "the orchestrator's answer",
    "GW-APPROVAL-SILENT",
  );
  #consumer: Consumer | undefined;

  private constructor(options: ConversationOptions) {
    this.#options = options;
    options.bus.onState((up) => {
      if (up) return;
      setTimeout(() => {
        if (!options.bus.up) this.#approvals.failAll(brokerDown());
      }, BROKER_GRACE_MS).unref();
    });
  }

  /** Begins to listen on the gateway's queue. */
  static async open(options: ConversationOptions): Promise<Conversation> {
    const conversation = new Conversation(options);
    await options.bus.declareQueue(GATEWAY_QUEUE);
    conversation.#consumer = await options.bus.consume(GATEWAY_QUEUE, async (m) => conversation.#take(m), {
      prefetch: PREFETCH,
    });
    return conversation;
  }

  /** Calls that wait at this moment. */
  get waiting(): number {
    return this.#approvals.size;
  }

  /**
   * Asks for an approval.
   *
   * @param signal - the caller is gone: the answer, when it comes, is dropped
   * @throws {@link CodedError} `GW-APPROVAL-SILENT`, `GW-BROKER-DOWN`, `GW-NO-ORCHESTRATOR`, `GW-BUSY`
   */
  async approve(body: UserRequest, signal: AbortSignal): Promise<RequestApprovalResponse> {
    const {
      bus,
      approvalDeadline = DEFAULTS.approvalDeadline,
      mostWaiting = DEFAULTS.mostWaiting,
    } = this.#options;
    if (this.#approvals.size >= mostWaiting) {
      throw new CodedError({
        code: "GW-BUSY",
        message: `${mostWaiting} requests wait already`,
        remedy: "try again in a moment",
      });
    }
    const id = randomUUID();
    const answer = this.#approvals.wait(id, approvalDeadline);
    const gone = (): void => void this.#approvals.fail(id, clientGone());
    signal.addEventListener("abort", gone);
    if (signal.aborted) gone();
    const message = encode.requestApproval({
      type: body.type,
      user: body.user,
      dataProviders: body.dataProviders,
      destinationQueue: ORCHESTRATOR_QUEUE,
      ...(body.options === undefined ? {} : { options: body.options }),
    });
    // The answer may well be here before the broker's confirm, which is only asked for bad news.
    bus
      .publish(ORCHESTRATOR_QUEUE, MESSAGE.requestApproval, message, { correlationId: id })
      .catch((error: unknown) => this.#approvals.fail(id, unsent(error)));
    try {
      return await answer;
    } finally {
      signal.removeEventListener("abort", gone);
    }
  }

  /**
   * Sends an approved job's data request; its reports gather in the returned job's log.
   *
   * @returns the job, and a promise of the broker's confirm, which rejects with `GW-BROKER-DOWN` or `GW-NO-ORCHESTRATOR`
   */
  send(
    body: UserRequest,
    approval: RequestApprovalResponse,
  ): { readonly job: GatewayJob; readonly sent: Promise<void> } {
    const { jobId, archetypeId, computeProviders } = approval;
    const correlationId = randomUUID();
    const facts = {
      jobId,
      requestType: body.type,
      archetype: archetypeId,
      dataProviders: [...new Set(body.dataProviders)].sort(),
      computeProviders,
    };
    const job: GatewayJob = { log: new JobLog(facts), user: body.user.userName, correlationId };
    job.log.begin();
    // Listed before it is sent: the first report may come before the confirm.
    this.jobs.add(job);
    const request = encode.request({
      type: body.type,
      data: body.data_request?.data ?? {},
      user: body.user,
      requestMetadata: {
        jobId,
        correlationId,
        destinationQueue: ORCHESTRATOR_QUEUE,
        returnAddress: GATEWAY_QUEUE,
      },
      options: body.data_request?.options ?? {},
    });
    const sent = this.#options.bus
      .publish(ORCHESTRATOR_QUEUE, MESSAGE.request, request, { correlationId })
      .catch((error: unknown) => {
        throw unsent(error, jobId);
      });
    return { job, sent };
  }

  /**
   * Asks the orchestrator to end a job. Its end comes as a report, as every end does.
   *
   * @param user - whose job it must be
   * @throws {@link CodedError} `GW-BROKER-DOWN`, `GW-NO-ORCHESTRATOR`
   */
  async cancel(jobId: string, user: string): Promise<void> {
    const correlationId = randomUUID();
    const message = encode.microserviceCommunication({
      type: MESSAGE.microserviceCommunication,
      requestType: CANCEL,
      metadata: { user },
      requestMetadata: { jobId, correlationId, destinationQueue: ORCHESTRATOR_QUEUE },
    });
    await this.#options.bus
      .publish(ORCHESTRATOR_QUEUE, MESSAGE.microserviceCommunication, message, { correlationId })
      .catch((error: unknown) => {
        throw unsent(error, jobId);
      });
  }

  /** A job that did not go out from here: those who ask for it now shall see how it goes on. */
  adopt(log: JobLog, user?: string): GatewayJob {
    const known = this.jobs.get(log.facts.jobId);
    if (known !== undefined && (user === undefined || known.user !== undefined)) return known;
    const job: GatewayJob = { log, correlationId: "", ...known, ...(user === undefined ? {} : { user }) };
    if (known === undefined) log.begin();
    this.jobs.add(job);
    return job;
  }

  async close(): Promise<void> {
    this.#approvals.failAll(
      new CodedError({
        code: "GW-CLOSING",
        message: "the gateway is ending",
        remedy: "try again in a moment",
      }),
    );
    await this.#consumer?.stop();
  }

  #take(message: Incoming): Verdict {
    const { log } = this.#options;
    const type = messageType(message.type);
    if (type === "requestApprovalResponse" && message.correlationId !== undefined) {
      const taken = this.#approvals.settle(message.correlationId, decode(type, message.body));
      if (!taken)
        log.debug({ correlationId: message.correlationId }, "an answer came that nobody waits for any more");
      return "ack";
    }
    if (type === "microserviceCommunication") {
      this.#report(decode(type, message.body), message.correlationId ?? "");
      return "ack";
    }
    log.warn(
      { type: message.type },
      "a message that is not for the gateway; it goes to the dead-letter queue",
    );
    return "drop";
  }

  #report(message: MicroserviceCommunication, correlationId: string): void {
    const jobId = message.requestMetadata?.jobId ?? "";
    if (jobId === "") return;
    const known = this.jobs.get(jobId);
    // The job's id in place of the request's: an orchestrator that has come back ends what it finds.
    if (known !== undefined && ![correlationId, ""].includes(known.correlationId) && correlationId !== jobId)
      return;
    const job = known ?? this.adopt(new JobLog({ jobId, requestType: message.requestType }));
    const { event } = message.metadata;
    if (event === "round") job.log.add({ name: "round", data: message.data as unknown as RoundReport });
    else if (event === "revoked")
      job.log.add({ name: "revoked", data: message.data as unknown as JobRevoked });
    else if (event === "end") job.log.add({ name: "end", data: message.data as unknown as JobEnd });
  }
}

const clientGone = (): CodedError =>
  new CodedError({ code: "GW-CLIENT-GONE", message: "the client has gone", remedy: "none is needed" });

/** @param job - id of the approved job whose request it was: it may have gone out, and the user may ask for it */
function brokerDown(cause?: unknown, job?: string): CodedError {
  return new CodedError(
    {
      code: "GW-BROKER-DOWN",
      ...(job === undefined ? {} : { path: `jobs/${job}` }),
      message: "the message broker is away",
      remedy: "try again in a moment; if it stays so, look at the broker",
    },
    cause === undefined ? undefined : { cause },
  );
}

function unsent(error: unknown, job?: string): CodedError {
  if (error instanceof CodedError && error.code === "BUS-UNROUTABLE") {
    return new CodedError(
      {
        code: "GW-NO-ORCHESTRATOR",
        message: "no orchestrator has ever run at this broker",
        remedy: "start the orchestrator",
      },
      { cause: error },
    );
  }
  return brokerDown(error, job);
}

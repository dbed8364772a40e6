import type { Logger } from "../platform/log.js";
import type { Microservice } from "./microservice.js";

/** What travels between an agent and a microservice that it started on its own machine, both ways. */
export interface ChannelMessage {
  readonly correlationId: string;
  /** An encoded `microserviceCommunication`. */
  readonly body: Uint8Array;
}

/**
 * Ends this process when the agent that started it ends, however that ends: the channel between them closes then.
 * Without such a channel (a container of its own) it does nothing.
 */
export function endWithParent(): void {
  if (process.channel == null) return;
  process.once("disconnect", () => process.exit(0));
  // Gone already, between our start and this line.
  if (!process.connected) process.exit(0);
}

/** Answers what the agent asks by the channel, which spares both the way over the broker. */
export function listenToParent(microservice: Microservice, log: Logger): void {
  if (process.channel == null) return;
  process.on("message", (message: ChannelMessage) => {
    microservice.answer(message.body).then(
      ({ body }) => process.send?.({ correlationId: message.correlationId, body }),
      (error: unknown) =>
        log.error({ error, correlationId: message.correlationId }, "a message cannot be read"),
    );
  });
}

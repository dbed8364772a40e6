import { Counter, Histogram, Registry } from "prom-client";

/** What the enforcer counts, in a registry of its own. */
export interface EnforcerMetrics {
  readonly registry: Registry;
  readonly decisions: Counter<"decision">;
  readonly refusedMessages: Counter;
  readonly seconds: Histogram;
}

export function createMetrics(): EnforcerMetrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    decisions: new Counter({
      name: "dynamos_decisions_total",
      help: "Requests decided and answered",
      labelNames: ["decision"],
      registers,
    }),
    refusedMessages: new Counter({
      name: "dynamos_enforcer_refused_messages_total",
      help: "Messages that were no request",
      registers,
    }),
    seconds: new Histogram({
      name: "dynamos_enforcer_seconds",
      help: "From a request's arrival to the broker's confirm of its answer",
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
      registers,
    }),
  };
}

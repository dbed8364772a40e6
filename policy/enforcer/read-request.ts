import { MESSAGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { decode, messageType, type RequestApproval } from "../contract/wire.js";
import type { Incoming } from "../platform/bus.js";
import { MOST_ROUNDS } from "../rounds/plan.js";

/** More parties than any marketplace has; a message that names more is no honest one. */
const MOST_PROVIDERS = 256;
/** Empty in a first approval. */
const JOB_NAME = /^[\w.@-]{0,128}$/;

/**
 * A request as it came, within the bounds of an honest one.
 *
 * @throws CodedError `BUS-MALFORMED`
 */
export function readRequest(message: Pick<Incoming, "type" | "body">): RequestApproval {
  if (messageType(message.type) !== MESSAGE.requestApproval) {
    const type = message.type === "" ? "a message without type" : message.type;
    throw malformed(
      message.type,
      `the policy enforcer takes ${MESSAGE.requestApproval}, not ${type}`,
      "send it to another queue",
    );
  }
  const request = decode(MESSAGE.requestApproval, message.body);
  const { dataProviders, jobId, round } = request;
  if (dataProviders.length > MOST_PROVIDERS) {
    throw malformed(
      "data_providers",
      `${dataProviders.length} data providers; ${MOST_PROVIDERS} is the most`,
      "ask for fewer",
    );
  }
  // Both become part of a key in the store.
  if (!JOB_NAME.test(jobId) || round > MOST_ROUNDS) {
    throw malformed(
      "round",
      `${round} of job ${JSON.stringify(jobId.slice(0, 140))} is no round`,
      `name a job of letters, digits and . _ @ -, and a round up to ${MOST_ROUNDS}`,
    );
  }
  return request;
}

function malformed(path: string, message: string, remedy: string): CodedError {
  return new CodedError({ code: "BUS-MALFORMED", path, message, remedy });
}

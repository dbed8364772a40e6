/** Writes down that a step was begun and done here, and takes as long as the request says. */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Handler, serve } from "dynamos-fabric/microservice";

const work: Handler = async ({ round, step, request, steward, job }) => {
  const { file, stepMs, slowRound, slowMs, slowParty } = request as Readonly<Record<string, unknown>>;
  const note = (what: string): void =>
    appendFileSync(
      String(file),
      `${JSON.stringify({ what, at: Date.now(), job, round, step, party: steward })}\n`,
    );
  note("begin");
  const slow = slowRound === round && slowParty === steward && step !== "back";
  await sleep(Number(slow ? slowMs : stepMs));
  note("end");
  return { data: { round } };
};

serve({ give: work, pass: work, back: work });

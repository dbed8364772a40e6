// npm run test:fault -- --suite revocation [--schedules N] [--seed S] [--only SEED] [--record FILE] [--json FILE]
import { runSuite, type Suite } from "../suite.js";
import { ARCHETYPES, SERVICES, TYPES } from "./documents.js";
import { Ground, type RevocationOutcome } from "./run-schedule.js";
import { drawSchedule } from "./schedule.js";
import { Services } from "./services.js";

const revocation: Suite<RevocationOutcome> = {
  command: "npm run test:fault -- --suite revocation",
  folder: __dirname,
  room: "policy",
  record: "out/faults/revocation.jsonl",
  jobs: 1,
  prepare: async () => {
    const services = await Services.start();
    try {
      for (const [path, documents] of [
        ["archetypes", ARCHETYPES],
        ["microservices", SERVICES],
        ["requestTypes", TYPES],
      ] as const) {
        for (const document of documents) {
          const { status, body } = await services.api("PUT", `${path}/${document.name}`, document);
          if (status !== 200) throw new Error(`${path}/${document.name}: ${JSON.stringify(body)}`);
        }
      }
    } catch (error) {
      await services.end();
      throw error;
    }
    const ground = new Ground(services);
    return { run: (seed) => ground.run(drawSchedule(seed)), end: () => services.end() };
  },
  note: ({ answerMs, rounds, steps }) =>
    `; ${rounds} rounds, ${steps} steps, answered ${answerMs} ms after the change`,
  counts: (done) => {
    const sum = (of: (o: RevocationOutcome) => number) => done.reduce((total, o) => total + of(o), 0);
    const ends = (status: string) => done.filter((o) => o.status === status).length;
    return (
      `${ends("refused")} refused, ${ends("failed")} failed, ${ends("completed")} completed, ${ends("unanswered")} unanswered; ` +
      `${done.filter((o) => o.struck).length} kills and freezes; ${sum((o) => o.rounds)} rounds, ${sum((o) => o.roundsAfterChange)} of them wrongly opened; ` +
      `${sum((o) => o.steps)} steps, ${sum((o) => o.workWithoutGrant)} without a grant`
    );
  },
};

export const run = (args: string[]): Promise<void> => runSuite(revocation, args);

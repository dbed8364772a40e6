// npm run test:fabric, npm run test:fault -- --suite fabric: [--schedules N] [--seed S] [--only SEED] [--jobs N] [--record FILE] [--json FILE]
import { Ground } from "./ground.js";
import { type Outcome, runSchedule } from "./run-schedule.js";
import { drawSchedule } from "./schedule.js";
import { runSuite, type Suite } from "./suite.js";

const fabric: Suite<Outcome> = {
  command: "npm run test:fabric --",
  folder: __dirname,
  room: "infra",
  record: "out/faults/fabric.jsonl",
  jobs: 2,
  prepare: async () => {
    const ground = await Ground.prepare();
    return { run: (seed) => runSchedule(ground, drawSchedule(seed)), end: () => ground.end() };
  },
  note: ({ again }) => (again.length > 0 ? `; again after ${again.join(", ")}` : ""),
  counts: (done) => {
    const sum = (of: (o: Outcome) => number) => done.reduce((total, o) => total + of(o), 0);
    return (
      `${sum((o) => o.hits.length)} kills, ${sum((o) => o.missed)} whose moment did not come, ${sum((o) => o.faults)} bad answers; ` +
      `${done.filter((o) => o.again.length > 0).length} needed a second run`
    );
  },
};

export const run = (args: string[]): Promise<void> => runSuite(fabric, args);

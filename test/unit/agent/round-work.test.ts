import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RoundInputs } from "../../../policy/agent/round-inputs.js";
import { type RoundPorts, StepFailure, workRound } from "../../../policy/agent/round-work.js";
import { CodedError } from "../../../policy/contract/problem.js";
import { inputsOf, type StepAnswer, type StepInputs } from "../../../policy/rounds/inputs.js";
import { decodeAnswer, encodeAnswer } from "../../../policy/rounds/messages.js";
import { tasksOf } from "../../../policy/rounds/plan.js";
import { type AnyRound, anyRound, placesOf } from "../rounds/any-round.js";

/** What an agent would answer: every bit of what it got, and the order it came in, makes a difference to it. */
function compute(step: string, agent: string, inputs: StepInputs, agents: readonly string[]): StepAnswer {
  const parts = Object.entries(inputs.parts).map(([name, part]) => [name, text(part.payload)]);
  const seen = createHash("sha1")
    .update(JSON.stringify([step, agent, inputs.data, parts]))
    .digest("hex");
  return {
    data: { seen },
    parts: Object.fromEntries(agents.map((to) => [to, { kind: 0, payload: Buffer.from(`${seen}>${to}`) }])),
  };
}
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const plain = ({ data, parts }: StepAnswer) => [
  data,
  Object.entries(parts).map(([name, part]) => [name, text(part.payload)]),
];

/** One step after the other, with everything at hand. */
function oneByOne(round: AnyRound): Map<string, StepAnswer> {
  const byStep = new Map<string, Map<string, StepAnswer>>();
  const all = new Map<string, StepAnswer>();
  for (const { step, agent } of placesOf(round)) {
    const answer = compute(step.name, agent, inputsOf(step, agent, byStep, round.composition), round.agents);
    byStep.set(step.name, (byStep.get(step.name) ?? new Map()).set(agent, answer));
    all.set(`${step.name}/${agent}`, answer);
  }
  return all;
}

/** All agents at once, in one process; what they give each other goes through bytes, and everything takes its time. */
function together(
  round: AnyRound,
  scheduler: fc.Scheduler,
  change: {
    readonly work?: (step: string, agent: string) => void;
    readonly absent?: string;
    readonly signal?: AbortSignal;
  } = {},
) {
  const { plan, composition, agents } = round;
  const inputs = new Map(agents.map((agent) => [agent, new RoundInputs()]));
  const signal = change.signal ?? new AbortController().signal;
  const pause = (what: string): Promise<unknown> => scheduler.schedule(Promise.resolve(), what);
  return agents
    .filter((agent) => agent !== change.absent)
    .map(async (agent) => {
      const ports: RoundPorts = {
        async work(step, got) {
          await pause(`work ${step.name}/${agent}`);
          change.work?.(step.name, agent);
          return { ...compute(step.name, agent, got, agents), computeMs: 1, startMs: 0 };
        },
        take: (step, from, stop) =>
          inputs.get(agent)?.take(1, step, from, stop) ?? Promise.reject(new Error(agent)),
        async handOver(to, step, answer) {
          const body = encodeAnswer(answer);
          await pause(`hand ${step}/${agent} to ${to}`);
          inputs.get(to)?.give(1, step, agent, decodeAnswer(body).answer, body.length);
        },
      };
      const done = await workRound(agent, tasksOf(plan, composition, agent), composition, ports, signal);
      return { agent, ...done };
    });
}

const settled = async <T>(scheduler: fc.Scheduler, work: readonly Promise<T>[]) =>
  await scheduler.waitFor(Promise.allSettled(work));

describe("workRound at all agents of a round", () => {
  it("comes to the answers of the steps done one after the other, whatever takes how long", async () => {
    await fc.assert(
      fc.asyncProperty(anyRound, fc.scheduler(), async (round, scheduler) => {
        const done = await scheduler.waitFor(Promise.all(together(round, scheduler)));
        const answers = new Map(
          done.flatMap(({ agent, answers }) =>
            [...answers].map(([step, a]) => [`${step}/${agent}`, plain(a)] as const),
          ),
        );
        expect(answers).toEqual(new Map([...oneByOne(round)].map(([place, a]) => [place, plain(a)])));
        for (const { agent, spans } of done) {
          const tasks = tasksOf(round.plan, round.composition, agent);
          expect(spans.map(({ step }) => step).sort()).toEqual(tasks.map(({ step }) => step.name).sort());
          const doneMs = new Map(spans.map((span) => [span.step, span.doneMs]));
          for (const { step, waitsFor } of tasks)
            for (const { step: before } of waitsFor.filter(({ from }) => from === agent))
              expect(doneMs.get(before)).toBeLessThanOrEqual(doneMs.get(step.name) ?? -1);
        }
      }),
    );
  });

  it("ends where a step fails with that step's name, and everywhere once the job is ended for it", async () => {
    await fc.assert(
      fc.asyncProperty(anyRound, fc.nat(), fc.scheduler(), async (round, pick, scheduler) => {
        const places = placesOf(round);
        const broken = places[pick % places.length];
        const fault = new CodedError({ code: "VFL-ROWS", message: "the rows do not fit" });
        const jobEnd = new AbortController();
        const worked: string[] = [];
        const work = (step: string, agent: string): void => {
          if (step === broken?.step.name && agent === broken.agent) throw fault;
          worked.push(`${step}/${agent}`);
        };
        const running = together(round, scheduler, { work, signal: jobEnd.signal });
        for (const one of running)
          one.catch(() => jobEnd.abort(new CodedError({ code: "JOB-ENDED", message: "" })));
        const outcomes = await settled(scheduler, running);
        const failures = outcomes.flatMap((o) => (o.status === "rejected" ? [o.reason as StepFailure] : []));
        expect(failures.every((failure) => failure instanceof StepFailure)).toBe(true);
        const first = failures.filter(({ cause }) => cause === fault);
        expect(first.map(({ step }) => step)).toEqual([broken?.step.name]);
        for (const { cause } of failures)
          if (cause !== fault) expect(cause).toMatchObject({ code: "JOB-ENDED" });
        // Nobody went on with what was never made.
        const blocked = blockedBy(
          round,
          ({ step, agent }) => step === broken?.step.name && agent === broken.agent,
        );
        expect(worked.filter((place) => blocked.has(place))).toEqual([]);
      }),
    );
  });

  it("ends at all that wait for an agent that is not there, when the signal comes, and at no other", async () => {
    await fc.assert(
      fc.asyncProperty(anyRound, fc.nat(), fc.scheduler(), async (round, pick, scheduler) => {
        const absent = round.agents[pick % round.agents.length] ?? "";
        const end = new AbortController();
        const reason = new Error("the job has ended");
        const running = together(round, scheduler, { absent, signal: end.signal });
        const outcomes = Promise.allSettled(running);
        await scheduler.waitIdle();
        end.abort(reason);
        const blocked = blockedBy(round, ({ agent }) => agent === absent);
        const there = round.agents.filter((agent) => agent !== absent);
        for (const [i, outcome] of (await scheduler.waitFor(outcomes)).entries()) {
          const own = tasksOf(round.plan, round.composition, there[i] ?? "").map(({ step }) => step.name);
          const stuck = own.filter((step) => blocked.has(`${step}/${there[i]}`));
          expect(outcome.status).toBe(stuck.length > 0 ? "rejected" : "fulfilled");
          if (outcome.status === "fulfilled") continue;
          expect(stuck).toContain((outcome.reason as StepFailure).step);
          expect((outcome.reason as StepFailure).cause).toBe(reason);
        }
      }),
    );
  });

  it("ends at once where the signal came before", async () => {
    await fc.assert(
      fc.asyncProperty(anyRound, fc.scheduler(), async (round, scheduler) => {
        const worked: string[] = [];
        const signal = AbortSignal.abort(new Error("over"));
        const outcomes = await settled(
          scheduler,
          together(round, scheduler, { signal, work: (step) => void worked.push(step) }),
        );
        expect(worked).toEqual([]);
        for (const [i, { status }] of outcomes.entries()) {
          const idle = tasksOf(round.plan, round.composition, round.agents[i] ?? "").length === 0;
          expect(status).toBe(idle ? "fulfilled" : "rejected");
        }
      }),
    );
  });

  it("says which step lacks a part for one of its receivers", async () => {
    const tasks = [
      {
        step: { name: "train", service: "any", role: "computeProvider" as const, inputs: [] },
        waitsFor: [],
        givesTo: [{ agent: "b", scatter: true }],
      },
    ];
    const ports: RoundPorts = {
      work: async () => ({
        data: {},
        parts: { c: { kind: 0, payload: Buffer.of(1) } },
        computeMs: 0,
        startMs: 0,
      }),
      take: () => Promise.reject(new Error("not asked")),
      handOver: () => Promise.reject(new Error("not asked")),
    };
    const done = workRound("a", tasks, { local: false }, ports, new AbortController().signal);
    await expect(done).rejects.toMatchObject({ step: "train", cause: { code: "AGT-SCATTER-MISSING" } });
  });
});

/** The places that need, if only by a long way, what one of these does not give; these themselves among them. */
function blockedBy(
  round: AnyRound,
  isMissing: (place: { readonly step: string; readonly agent: string }) => boolean,
): ReadonlySet<string> {
  const blocked = new Set<string>();
  for (const { step, agent } of placesOf(round)) {
    const task = tasksOf(round.plan, round.composition, agent).find((one) => one.step.name === step.name);
    const waits = task?.waitsFor ?? [];
    if (isMissing({ step: step.name, agent }) || waits.some((w) => blocked.has(`${w.step}/${w.from}`)))
      blocked.add(`${step.name}/${agent}`);
  }
  return blocked;
}

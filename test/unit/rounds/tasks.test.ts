import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tasksOf } from "../../../policy/rounds/plan.js";
import { anyRound, placesOf } from "./any-round.js";

describe("tasksOf", () => {
  it("gives every step to each of its agents, and to no other", () => {
    fc.assert(
      fc.property(anyRound, (round) => {
        const { plan, composition, agents } = round;
        const tasks = [...agents, "stranger"].flatMap((agent) =>
          tasksOf(plan, composition, agent).map(({ step }) => `${step.name}/${agent}`),
        );
        expect(tasks.sort()).toEqual(
          placesOf(round)
            .map(({ step, agent }) => `${step.name}/${agent}`)
            .sort(),
        );
      }),
    );
  });

  it("lets each agent give exactly what another waits for: in part only where all that wait want no more", () => {
    fc.assert(
      fc.property(anyRound, ({ plan, composition, agents }) => {
        const tasks = agents.flatMap((agent) =>
          tasksOf(plan, composition, agent).map((task) => ({ agent, task })),
        );
        const given = tasks.flatMap(({ agent, task }) =>
          task.givesTo.map(({ agent: to, scatter }) => JSON.stringify([task.step.name, agent, to, scatter])),
        );
        const awaited = new Map<string, boolean>();
        for (const { agent: to, task } of tasks)
          for (const { step, from } of task.waitsFor) {
            if (from === to) continue;
            const key = JSON.stringify([step, from, to]);
            const scatter = task.step.inputs.find((input) => input.step === step)?.scatter === true;
            awaited.set(key, (awaited.get(key) ?? true) && scatter);
          }
        expect(given.sort()).toEqual(
          [...awaited].map(([key, scatter]) => JSON.stringify([...JSON.parse(key), scatter])).sort(),
        );
      }),
    );
  });

  it("puts each step behind those of its own agent that it waits for", () => {
    fc.assert(
      fc.property(anyRound, ({ plan, composition, agents }) => {
        for (const agent of agents) {
          const done = new Set<string>();
          for (const { step, waitsFor } of tasksOf(plan, composition, agent)) {
            for (const { step: before } of waitsFor.filter(({ from }) => from === agent))
              expect(done.has(before)).toBe(true);
            done.add(step.name);
          }
        }
      }),
    );
  });

  it("lets an input that is an agent's own neither wait for another agent nor go to one", () => {
    fc.assert(
      fc.property(anyRound, ({ plan, composition, agents }) => {
        for (const agent of agents)
          for (const { step, waitsFor, givesTo } of tasksOf(plan, composition, agent)) {
            const own = step.inputs.flatMap((input) => (input.own === true ? [input.step] : []));
            for (const { step: source, from } of waitsFor) if (own.includes(source)) expect(from).toBe(agent);
            const takers = plan.levels
              .flat()
              .flatMap(({ inputs }) => inputs.filter((i) => i.step === step.name));
            if (takers.every((taker) => taker.own === true)) expect(givesTo).toEqual([]);
          }
      }),
    );
  });

  it("keeps everything at home where the data providers compute", () => {
    fc.assert(
      fc.property(
        anyRound.filter(({ composition }) => composition.local),
        ({ plan, composition, agents }) => {
          for (const agent of agents)
            for (const { step, waitsFor, givesTo } of tasksOf(plan, composition, agent)) {
              expect(givesTo).toEqual([]);
              expect(waitsFor).toEqual(step.inputs.map((input) => ({ step: input.step, from: agent })));
            }
        },
      ),
    );
  });
});

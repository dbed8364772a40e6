import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { givenPorts, mustRestart, specHash, startOrder } from "../../../infra/local/plan.js";
import type { ServiceSpec } from "../../../infra/local/service.js";

const spec = (name: string, change: Partial<ServiceSpec> = {}): ServiceSpec => ({
  name,
  node: "n",
  command: ["x"],
  ready: { tcp: "p" },
  ports: { p: 0 },
  ...change,
});

/** Services that need only earlier ones, in a random order: always without a circle. */
const acyclic = fc
  .integer({ min: 1, max: 12 })
  .chain((count) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, i) =>
        fc.subarray(Array.from({ length: i }, (_, j) => `s${j}`)).map((needs) => spec(`s${i}`, { needs })),
      ),
    ),
  )
  .chain((specs) => fc.shuffledSubarray(specs, { minLength: specs.length }));

describe("startOrder", () => {
  it("puts every service after all that it needs, each exactly once", () => {
    fc.assert(
      fc.property(acyclic, (specs) => {
        const order = startOrder(specs);
        expect([...order].sort()).toEqual(specs.map((s) => s.name).sort());
        for (const s of specs)
          for (const need of s.needs ?? []) expect(order.indexOf(need)).toBeLessThan(order.indexOf(s.name));
      }),
    );
  });

  it("does not depend on the order of registration", () => {
    fc.assert(
      fc.property(acyclic, (specs) => {
        expect(startOrder(specs)).toEqual(startOrder([...specs].reverse()));
      }),
    );
  });

  it("tells of a circle with the way around", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), acyclic, (length, others) => {
        const circle = Array.from({ length }, (_, i) => spec(`c${i}`, { needs: [`c${(i + 1) % length}`] }));
        const way = [...circle.map((s) => s.name), "c0"].join(" -> ");
        expect(() => startOrder([...others, ...circle])).toThrow(
          expect.objectContaining({ code: "LOC-CYCLE", message: expect.stringContaining(way) }),
        );
      }),
    );
  });

  it("passes over needs that are not registered", () => {
    expect(startOrder([spec("b", { needs: ["gone"] }), spec("a", { needs: ["b"] })])).toEqual(["b", "a"]);
  });
});

describe("specHash", () => {
  const turned = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).reverse()) as T;

  it("does not depend on the order of keys, nor on keys that are undefined", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (env) => {
        const one = spec("a", { env });
        const other = { ...turned(one), env: turned(env), needs: undefined } as unknown as ServiceSpec;
        expect(specHash(other)).toBe(specHash(one));
      }),
    );
  });

  it("differs where the specification differs, the order of arguments included", () => {
    const all = [
      spec("a"),
      spec("b"),
      spec("a", { env: {} }),
      spec("a", { command: ["x", "y"] }),
      spec("a", { command: ["y", "x"] }),
      spec("a", { ports: { p: 1 } }),
    ];
    expect(new Set(all.map(specHash)).size).toBe(all.length);
  });
});

describe("mustRestart", () => {
  const broker = spec("broker");
  const agent = spec("agent", { needs: ["broker"], env: { A: "{{port:broker/p}}" } });
  const other = spec("other", { needs: ["broker"] });
  const ports = (port: number) => new Map([["broker", { p: port }]]);
  const started = (s: ServiceSpec, port: number) => ({
    name: s.name,
    specHash: specHash(s),
    given: givenPorts(s, ports(port)),
  });

  it("names those with another specification and those given a port that changed, no others", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 65535 }),
        fc.integer({ min: 1, max: 65535 }),
        fc.boolean(),
        (before, now, changed) => {
          const running = [broker, agent, other].map((s) => started(s, before));
          const brokerNow = changed ? spec("broker", { startSeconds: 9 }) : broker;
          const expected = [...(changed ? ["broker"] : []), ...(before === now ? [] : ["agent"])];
          expect(mustRestart(running, [brokerNow, agent, other], ports(now))).toEqual(expected);
        },
      ),
    );
  });

  it("leaves out services without a specification, and ports that nobody has yet", () => {
    expect(mustRestart([started(agent, 1)], [], ports(2))).toEqual([]);
    expect(mustRestart([started(agent, 1)], [agent], new Map())).toEqual([]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readPoaPost, readSlicesPost } from "../../../infra/fabric/emulator/body.js";
import { leaseTime, newLease, parseTime, writeTime } from "../../../infra/fabric/emulator/lease.js";
import { emptyState } from "../../../infra/fabric/emulator/model.js";
import { queries, readQuery } from "../../../infra/fabric/emulator/query.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { ipv4Subnets, nextAddress } from "../../../infra/fabric/emulator/subnets.js";
import { identify } from "../../../infra/fabric/emulator/token.js";
import { flavourCount, flavourFor, flavourName, flavourNamed } from "../../../infra/fabric/flavours.js";
import { InfraError } from "../../../infra/problem.js";
import { makeToken } from "../../integration/emulator/token.js";
import { start } from "./world.js";

const hour = 3_600_000;

describe("times", () => {
  it("are read back as they were written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e9 }), (s) => {
        expect(parseTime(writeTime(s * 1000))).toBe(s * 1000);
      }),
    );
  });

  it.each([
    ["2026-12-06 09:30:00 +0000", Date.UTC(2026, 11, 6, 9, 30)],
    ["2026-12-06 09:30:00 +01:00", Date.UTC(2026, 11, 6, 8, 30)],
    ["2026-12-06 09:30:00 Z", Date.UTC(2026, 11, 6, 9, 30)],
    ["2026-12-06 09:30:00  0000", undefined], // a plus sign not encoded
    ["2026-12-06T09:30:00Z", undefined],
    ["2026-02-30 09:30:00 +0000", undefined],
    ["2026-12-06 25:30:00 +0000", undefined],
    ["tomorrow", undefined],
  ])("%s", (text, time) => expect(parseTime(text)).toBe(time));

  it("must be in the future", () => {
    expect(() => leaseTime("2023-01-01 16:20:15 +0000", start)).toThrow(
      "New lease time 2023-01-01 16:20:15+00:00 is in the past! ",
    );
    expect(() => leaseTime("soon", start)).toThrow("Lease Time is not in format %Y-%m-%d %H:%M:%S %z");
  });

  it.each([
    [
      { start: start + hour / 2 },
      "Requested Start Time should be at least 60 minutes from the current time!",
    ],
    [
      { start: start + 2 * hour, end: start + 2.5 * hour },
      "The requested lease duration must be at least 60 minutes.",
    ],
    [
      { start: start + 2 * hour, end: start + 400 * hour },
      "Requested lease duration exceeds the maximum allowed duration of 360.0 hours.",
    ],
    [
      { start: start + 2 * hour, end: start + 4 * hour },
      "The specified lifetime exceeds the allowable duration between the start and end times.",
    ],
  ])("make no lease of %o", (wish, text) =>
    expect(() => newLease({ ...wish, unlimited: false }, start)).toThrow(text),
  );

  it("make leases that never end before they begin, nor after 15 days", () => {
    const time = fc.option(fc.integer({ min: start + 1, max: start + 2000 * hour }), { nil: undefined });
    fc.assert(
      fc.property(
        time,
        time,
        fc.option(fc.integer({ min: 0, max: 1e6 }), { nil: undefined }),
        (from, end, lifetime) => {
          try {
            const lease = newLease({ start: from, end, lifetime, unlimited: false }, start);
            expect(lease.end).toBeGreaterThan(lease.start);
            expect(lease.end - lease.start).toBeLessThanOrEqual(360 * hour);
          } catch (error) {
            expect(error).toMatchObject({ status: 400 });
          }
        },
      ),
    );
  });
});

describe("sizes", () => {
  it("are FIM's 869", () => expect(flavourCount).toBe(869));

  it("hold the wish where one can, and are found by name", () => {
    const wish = fc.record({
      core: fc.integer({ min: 0, max: 70 }),
      ram: fc.integer({ min: 0, max: 300 }),
      disk: fc.integer({ min: 0, max: 1200 }),
    });
    fc.assert(
      fc.property(wish, (w) => {
        const f = flavourFor(w);
        expect(flavourNamed(flavourName(f))).toEqual(f);
        if (w.core > 64 || w.ram > 256 || w.disk > 1000) expect(flavourName(f)).toBe("fabric.c64.m256.d1000");
        else expect(f.core >= w.core && f.ram >= w.ram && f.disk >= w.disk).toBe(true);
      }),
    );
  });
});

describe("subnets", () => {
  it("of all sites differ", () => {
    const all = [...parseScenario().sites.values()].flatMap(ipv4Subnets);
    expect(all).toHaveLength(32 * 127);
    expect(new Set(all).size).toBe(all.length);
    expect(all.every((s) => /^10\.(1[2-8]\d|19[01])\.\d+\.0\/24$/.test(s))).toBe(true);
  });

  it("hold 253 addresses", () => {
    const used = new Set<string>();
    const gateway = { address: "10.128.1.1", subnet: "10.128.1.0/24", version: 4 } as const;
    for (let a = nextAddress(gateway, used); a !== undefined; a = nextAddress(gateway, used)) used.add(a);
    expect(used.size).toBe(253);
    expect(used).not.toContain("10.128.1.255");
  });
});

describe("the front", () => {
  it("reads what it knows", () => {
    expect(
      readQuery(queries.slices, { limit: "20", as_self: "True", states: ["StableOK", "Dead"], bogus: "1" }),
    ).toEqual({
      limit: 20,
      as_self: true,
      states: ["StableOK", "Dead"],
    });
  });

  it.each([
    [queries.slices, { limit: "abc" }, "Wrong type, expected 'integer' for query parameter 'limit'"],
    [queries.slices, { limit: "500" }, "500 is greater than the maximum of 200"],
    [queries.slices, { limit: "0" }, "0 is less than the minimum of 1"],
    [queries.slices, { name: "ab" }, "'ab' is too short"],
    [queries.slices, { as_self: "maybe" }, "Wrong type, expected 'boolean' for query parameter 'as_self'"],
    [queries.slice, {}, "Missing query parameter 'graph_format'"],
    [
      queries.slice,
      { graph_format: "XML" },
      "'XML' is not one of ['GRAPHML', 'JSON_NODELINK', 'CYTOSCAPE', 'NONE']",
    ],
  ])("refuses %o %o", (rules, query, text) => expect(() => readQuery(rules, query)).toThrow(text));

  const json = "application/json";
  it.each([
    [json, "{bad", "Request body is not valid JSON"],
    [json, "", "None is not of type 'object'"],
    [json, "[]", "[] is not of type 'object'"],
    [json, "{}", "'graph_model' is a required property"],
    [json, '{"graph_model":1,"ssh_keys":[]}', "1 is not of type 'string' - 'graph_model'"],
    [json, '{"graph_model":"x","ssh_keys":[1]}', "1 is not of type 'string' - 'ssh_keys.0'"],
    [
      json,
      `{"graph_model":"x","ssh_keys":${JSON.stringify(Array(11).fill("k"))}}`,
      "is too long - 'ssh_keys'",
    ],
    ["text/plain", "{}", "Invalid Content-type (text/plain), expected JSON data"],
    [undefined, "{}", "Invalid Content-type (), expected JSON data"],
  ])("refuses a body %s %s", (type, body, text) =>
    expect(() => readSlicesPost(type, Buffer.from(body))).toThrow(text),
  );

  it("knows the operations of a running sliver", () => {
    expect(readPoaPost(json, Buffer.from('{"operation":"reboot"}'))).toEqual({ operation: "reboot" });
    expect(() => readPoaPost(json, Buffer.from('{"operation":"fly"}'))).toThrow(
      /^'fly' is not one of \['cpuinfo'/,
    );
  });
});

describe("tokens", () => {
  const scenario = parseScenario();

  it("say who calls; what they leave out, the scenario says", () => {
    expect(
      identify(
        makeToken({ uuid: "u", email: "e@f", project: "p", tags: ["VM.NoLimit"] }),
        scenario,
        emptyState,
        start,
      ),
    ).toMatchObject({
      id: "u",
      email: "e@f",
      project: { id: "p" },
      tags: ["VM.NoLimit"],
    });
    const bare = `x.${Buffer.from("{}").toString("base64url")}.y`;
    expect(identify(bare, scenario, emptyState, start)).toMatchObject({
      email: "emulator@localhost",
      project: { name: "emulated" },
    });
  });

  it("are refused in the real words", () => {
    const fault = (token: string, s = scenario) => {
      try {
        identify(token, s, emptyState, start);
      } catch (error) {
        return `${(error as { status: number }).status} ${(error as Error).message}`;
      }
      return "accepted";
    };
    const told = "500 Unable to validate provided token: ValidateCode.";
    expect(fault("abc")).toBe(`${told}UNPARSABLE_TOKEN/JWT must have 3 parts`);
    expect(fault("a.b.c")).toMatch(/UNPARSABLE_TOKEN/);
    expect(fault(makeToken({ exp: 1 }))).toBe(`${told}INVALID/Signature has expired`);
    expect(fault(makeToken(), parseScenario({ tokens: ["t"] }))).toBe(
      `${told}INVALID/Signature verification failed`,
    );
  });
});

describe("scenarios", () => {
  it("default to production", () => {
    const { sites } = parseScenario();
    expect(sites.size).toBe(32);
    expect(sites.get("STAR")?.workers).toHaveLength(6);
  });

  it("tell every fault with its place", () => {
    const fault = (input: unknown) => {
      try {
        parseScenario(input, "s.yaml");
      } catch (error) {
        return error instanceof InfraError ? error.problems.map((p) => [p.code, p.path]) : error;
      }
      return "accepted";
    };
    expect(
      fault({ sites: { AMST: { workers: [{ cores: -1, ram: 1, disk: 1 }] } }, delays: { close: "x" } }),
    ).toEqual([
      ["FAB-EMU-SCENARIO", "sites.AMST.workers.0.cores"],
      ["FAB-EMU-SCENARIO", "delays.close"],
    ]);
    expect(fault({ sites: { AMST: {}, LOSA: { ipv4: "10.128.0.0/17" } } })).toEqual([
      ["FAB-EMU-SCENARIO", "sites.LOSA.ipv4"],
    ]);
  });
});

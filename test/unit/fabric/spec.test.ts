import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fabricTime, leaseHours, parseFabricTime } from "../../../infra/fabric/lease.js";
import {
  datedSites,
  isSite,
  nearestSite,
  otherSites,
  productionSites,
  sitesAsOf,
} from "../../../infra/fabric/sites.js";
import { parseSliceSpec, sliceProblems } from "../../../infra/fabric/spec.js";

const problems = (nodes: unknown, more: object = {}) =>
  sliceProblems({ name: "p-dev", nodes, ...more }).map((p) => [p.path, p.code, p.message]);

describe("sites", () => {
  it("are the 32 in production, and four others; names are checked against 33 of a date", () => {
    expect(new Set(productionSites).size).toBe(32);
    expect(new Set(datedSites).size).toBe(33);
    expect(sitesAsOf).toMatch(/^20\d\d-\d\d$/);
    expect(otherSites).toEqual(["CIEN", "LBNL", "RENC", "UKY"]);
    expect([...productionSites, ...otherSites].every(isSite)).toBe(true);
  });

  it.each([
    ["LOAS", "LOSA"],
    ["amst", "AMST"],
    ["TOKYO", "TOKY"],
    ["HAWAI", "HAWI"],
    ["CREN", "CERN"],
  ])("%s was meant to be %s", (wrong, right) => expect(nearestSite(wrong)).toBe(right));

  it("have no suggestion for what is near to none", () => {
    expect(nearestSite("PARIS-NORTH")).toBeUndefined();
    expect(nearestSite("")).toBeUndefined();
    expect(nearestSite("X")).toBeUndefined();
  });

  it("suggest a site for any name with one letter wrong", () => {
    fc.assert(
      fc.property(fc.constantFrom(...productionSites), fc.nat(), (site, at) => {
        const i = at % site.length;
        const near = nearestSite(`${site.slice(0, i)}#${site.slice(i + 1)}`);
        expect(near).toBeDefined();
        expect(near?.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe("a slice's specification", () => {
  it("has the defaults of a node", () => {
    expect(parseSliceSpec({ name: "p-dev", nodes: { core: { site: "AMST" } } })).toEqual({
      name: "p-dev",
      lease: "1d",
      nodes: {
        core: {
          site: "AMST",
          cores: 4,
          ram: 16,
          disk: 50,
          image: "default_ubuntu_22",
          components: [],
          userData: {},
        },
      },
    });
  });

  it("has all its problems told at once, each with place and code", () => {
    const wrong = {
      core: { site: "LOAS", cores: 0 },
      big: { site: "AMST", ram: 512, disk: 2000 },
      gpu: { site: "AMST", components: ["GPU_A31"], memory: 4 },
      x: { site: "AMST" },
    };
    expect(
      problems(wrong, { lease: "2 weeks" })
        .map(([path, code]) => `${path} ${code}`)
        .sort(),
    ).toEqual(
      [
        "lease FAB-LEASE-INVALID",
        "nodes.big.disk FAB-SIZE-TOO-LARGE",
        "nodes.big.ram FAB-SIZE-TOO-LARGE",
        "nodes.core.cores SPEC-INVALID",
        "nodes.core.site FAB-SITE-UNKNOWN",
        "nodes.gpu.components[0] FAB-COMPONENT-UNKNOWN",
        "nodes.gpu.memory SPEC-UNKNOWN-KEY",
        "nodes.x SPEC-INVALID",
      ].sort(),
    );
  });

  it("names the site that was meant", () => {
    expect(problems({ core: { site: "LOAS" } })).toEqual([
      ["nodes.core.site", "FAB-SITE-UNKNOWN", 'no site "LOAS"; did you mean LOSA?'],
    ]);
  });

  it.each([
    ["no nodes", {}, "FAB-NO-NODES"],
    [
      "too much user data",
      { core: { site: "AMST", userData: { a: "x".repeat(1700) } } },
      "FAB-USER-DATA-TOO-LARGE",
    ],
    [
      "a key of ours in the user data",
      { core: { site: "AMST", userData: { dynamos_fabric: 1 } } },
      "FAB-USER-DATA-KEY",
    ],
    ["nodes as a list", [{ site: "AMST" }], "SPEC-INVALID"],
    ["nothing", undefined, "SPEC-INVALID"],
  ])("refuses %s", (_, nodes, code) => expect(problems(nodes).map((p) => p[1])).toEqual([code]));

  it("refuses a lease beyond 26 weeks", () => {
    expect(problems({ core: { site: "AMST" } }, { lease: "183d" }).map((p) => p[1])).toEqual([
      "FAB-LEASE-TOO-LONG",
    ]);
    expect(problems({ core: { site: "AMST" } }, { lease: "182d" })).toEqual([]);
  });
});

describe("leases", () => {
  it.each([
    ["14d", 336],
    ["36h", 36],
    ["0d", undefined],
    ["1w", undefined],
    ["", undefined],
    ["1.5d", undefined],
  ])("%s is %s hours", (text, hours) => expect(leaseHours(text)).toBe(hours));

  it("write and read FABRIC's times", () => {
    expect(fabricTime(new Date("2026-12-06T10:00:00Z"))).toBe("2026-12-06 10:00:00 +0000");
    expect(parseFabricTime("2026-12-06 12:30:00 +0230")?.toISOString()).toBe("2026-12-06T10:00:00.000Z");
    expect(parseFabricTime("yesterday")).toBeUndefined();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e9 }), (seconds) => {
        expect(parseFabricTime(fabricTime(new Date(seconds * 1000)))?.getTime()).toBe(seconds * 1000);
      }),
    );
  });
});

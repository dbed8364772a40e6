import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addressProblems,
  clusterSchema,
  isInside,
  membershipProblems,
  parseHost,
  seconds,
} from "../../../infra/cluster/spec.js";
import type { InfraError } from "../../../infra/problem.js";
import { fabric, hostsOf, own, privateKey } from "./hosts.js";

const problemsOf = (host: unknown): (readonly [string | undefined, string])[] => {
  try {
    parseHost("losa", host);
    return [];
  } catch (error) {
    return (error as InfraError).problems.map((p) => [p.path, p.code]);
  }
};

describe("the hosts of a cluster", () => {
  it("may be FABRIC's, one's own, and mixed", () => {
    expect(problemsOf(fabric(1, 2))).toEqual([]);
    expect(problemsOf(own(1))).toEqual([]);
    expect(problemsOf(own(1, { address: "node-1.example.org", dataAddress: "10.0.0.1" }))).toEqual([]);
  });

  it.each([
    ["an address with a port", own(1, { address: "192.0.2.1:22" }), [["hosts.losa.address", "SPEC-INVALID"]]],
    [
      "a path in place of a key",
      own(1, { privateKey: "~/.ssh/id_ed25519" }),
      [["hosts.losa.privateKey", "CLU-KEY"]],
    ],
    ["a public key", own(1, { privateKey: "ssh-ed25519 AAAA" }), [["hosts.losa.privateKey", "CLU-KEY"]]],
    [
      "a data address that is none",
      own(1, { dataAddress: "10.1.2" }),
      [["hosts.losa.dataAddress", "CLU-ADDRESS"]],
    ],
    [
      "an address outside of its site's subnet",
      fabric(1, 2, { dataAddress: "10.132.1.2" }),
      [["hosts.losa.dataAddress", "CLU-ADDRESS-SUBNET"]],
    ],
    [
      "a network without an address on it",
      { ...fabric(1, 2), dataAddress: undefined },
      [["hosts.losa.dataAddress", "CLU-ADDRESS"]],
    ],
    [
      "a setting that there is none of",
      { ...own(1), adress: "x" },
      [["hosts.losa.adress", "SPEC-UNKNOWN-KEY"]],
    ],
    [
      "a user that a shell would take apart",
      own(1, { user: "a b; rm" }),
      [["hosts.losa.user", "SPEC-INVALID"]],
    ],
  ])("are refused for %s", (_, host, problems) => {
    expect(problemsOf(host)).toEqual(problems);
  });

  it("never show a key in a problem", () => {
    try {
      parseHost("losa", own(1, { privateKey: "-----BEGIN SECRET-----", port: 0 }));
    } catch (error) {
      expect((error as Error).message).not.toContain("SECRET");
    }
    expect(JSON.stringify(problemsOf({ ...own(1), port: 0 }))).not.toContain(privateKey.split("\n")[1]);
  });

  it("need an odd number of the control plane, names for Kubernetes, and each its own name", () => {
    const codes = (hosts: Parameters<typeof membershipProblems>[0]) =>
      membershipProblems(hosts).map((p) => [p.path, p.code]);
    expect(codes({ a: { role: "control" }, b: {} })).toEqual([]);
    expect(codes({ a: {}, b: {} })).toEqual([["hosts", "CLU-NO-CONTROL"]]);
    expect(codes({ a: { role: "control" }, b: { role: "control" } })).toEqual([["hosts", "CLU-ETCD-EVEN"]]);
    expect(codes({ a: { role: "control" }, Losa: {}, losa: {} })).toEqual([["hosts.Losa", "CLU-HOST-NAME"], ["hosts.losa", "CLU-HOST-TWICE"]]); // biome-ignore format: one line
  });

  it("are machines of their own: no address twice, but for other ports", () => {
    const twice = hostsOf({ a: own(1), b: own(1), c: own(1, { port: 2222 }), d: own(2, { dataAddress: "10.0.0.1" }), e: own(3, { dataAddress: "10.0.0.1" }) }); // biome-ignore format: one line
    expect(addressProblems(twice).map((p) => [p.path, p.code])).toEqual([["hosts.b.address", "CLU-HOST-TWICE"], ["hosts.e.dataAddress", "CLU-HOST-TWICE"]]); // biome-ignore format: one line
  });

  it("accept exactly the addresses of a subnet", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }), (a, b, bits) => {
        const text = (n: number) => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255).join(".");
        const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
        expect(isInside(text(a), `${text(b)}/${bits}`)).toBe((a & mask) === (b & mask));
      }),
    );
    expect(isInside("2602:fcfb:1::2", "2602:fcfb:1::/64")).toBe(true);
    expect(isInside("10.0.0.1", "2602:fcfb:1::/64")).toBe(false);
  });
});

describe("a cluster's description", () => {
  it("is Kubespray's with defaults, or an existing one", () => {
    const made = clusterSchema.parse({ kind: "kubespray", hosts: { a: own(1, { role: "control" }) } });
    expect(made).toMatchObject({
      kubespray: { version: "v2.31.0" },
      plugin: "flannel",
      deadline: "2h",
      hosts: { a: { port: 22, reset: true } },
    });
    expect(clusterSchema.parse({ kind: "existing", context: "lab" })).toEqual({
      kind: "existing",
      context: "lab",
    });
    expect(clusterSchema.safeParse({ kind: "existing", contxt: "lab" }).success).toBe(false);
  });

  it("has times as numbers with a unit", () => {
    expect(["45s", "90m", "2h"].map(seconds)).toEqual([45, 5400, 7200]);
  });
});

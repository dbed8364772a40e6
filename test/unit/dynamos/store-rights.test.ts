import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agentServiceSpec, coreServices, marketplaceServices } from "../../../dynamos/services.js";
import { readerRights, setupRights, storeRightsOf, storeSecret } from "../../../dynamos/store-rights.js";
import { KEY } from "../../../policy/contract/names.js";
import { prefixEnd } from "../../../policy/setup/store-gateway.js";
import { STORE_ROOT, type StoreRights } from "../../../policy/setup/store-user.js";

const may = ({ ranges }: StoreRights, right: "read" | "write", key: string): boolean =>
  ranges.some((r) => {
    if (right === "write" && r.right === "read") return false;
    return r.prefix ? key >= r.key && key < prefixEnd(r.key) : key === r.key;
  });
const agentRights = (party: string): StoreRights => {
  const rights = storeRightsOf(agentServiceSpec({ party, node: "n", role: "agent" }, "x"));
  if (rights === undefined) throw new Error("an agent uses the store");
  return rights;
};
const core = coreServices({ placement: { core: "core", agents: [] } });
const writers = (key: string): string[] =>
  [...core.flatMap((s) => storeRightsOf(s) ?? []), agentRights("clientone"), readerRights()]
    .filter((r) => may(r, "write", key))
    .map((r) => r.user);

const party = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/);

describe("the rights at the store", () => {
  it("are one user's each, with a secret of its own, for every service that is given a user", () => {
    const parties = ["clientone", "clienttwo", "server"];
    const specs = marketplaceServices({
      placement: {
        core: "core",
        agents: parties.map((p) => ({ party: p, node: p, role: "agent" as const })),
      },
      experiment: "x",
    });
    const users = specs.flatMap((s) => storeRightsOf(s)?.user ?? []);
    expect(users).toEqual(specs.flatMap((s) => s.env?.ETCD_USER ?? []));
    const all = [...users, readerRights().user, STORE_ROOT];
    expect(new Set(all.map(storeSecret)).size).toBe(8);
    for (const { env } of specs.filter((s) => s.env?.ETCD_USER !== undefined))
      expect(env?.ETCD_PASSWORD_FILE).toBe(`{{secretFile:${storeSecret(env?.ETCD_USER ?? "")}}}`);
  });

  it("let a cluster's setup note what it wrote, and read or write nothing else", () => {
    expect(may(setupRights(), "write", KEY.deployed("agreement", "clientone"))).toBe(true);
    for (const right of ["read", "write"] as const)
      for (const key of [
        KEY.agreement("clientone"),
        KEY.agentKey("clientone"),
        KEY.round("j", 1),
        KEY.grantKey("k"),
      ])
        expect(may(setupRights(), right, key), key).toBe(false);
    expect(writers(KEY.deployed("agreement", "clientone"))).toEqual([]);
  });

  it("let only the documents' API write what is decided by, and only the enforcer what it signs with and opens", () => {
    for (const key of [
      KEY.agreement("clientone"),
      KEY.archetype("a"),
      KEY.requestType("a"),
      KEY.dataset("a"),
      KEY.microservice("a"),
      KEY.job("j"),
      KEY.jobEnd("j"),
      KEY.ended("j"),
    ])
      expect(writers(key), key).toEqual(["orchestrator"]);
    for (const key of [KEY.grantKey("k"), KEY.round("j", 1), "/policyEnforcer/audit/e/keys/k"])
      expect(writers(key), key).toEqual(["policy-enforcer"]);
    expect(writers(KEY.online("clientone"))).toEqual(["agent-clientone"]);
    expect(writers("/anything/else")).toEqual([]);
  });

  it("give no agent another's keys, whatever the parties' names", () => {
    fc.assert(
      fc.property(party, party, (one, other) => {
        fc.pre(one !== other);
        const rights = agentRights(one);
        expect(may(rights, "write", KEY.online(one)) && may(rights, "read", KEY.agreement(one))).toBe(true);
        expect(may(rights, "write", KEY.agentJob(one, "ada", "j"))).toBe(true);
        for (const key of [KEY.online(other), KEY.agreement(other), KEY.agentJob(other, "ada", "j")])
          expect(may(rights, "write", key), key).toBe(false);
        for (const key of [KEY.agreement(other), KEY.agentJob(other, "ada", "j")])
          expect(may(rights, "read", key), key).toBe(false);
      }),
    );
  });
});

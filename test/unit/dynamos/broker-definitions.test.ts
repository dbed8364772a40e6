import { describe, expect, it } from "vitest";
import {
  agentRights,
  BROKER_ADMIN,
  brokerDefinitions,
  coreRights,
} from "../../../dynamos/broker-definitions.js";
import { agentQueue, EXCHANGE, jobQueue } from "../../../policy/contract/names.js";

const JOB = "0b2e9c7a5d0e4f6a9c552d7b7b1f8a1c";
const parties = ["clientone", "clienttwo", "one", "UVA", "cuva", "client", "client1"];
const rightsOf = (party: string) => agentRights(`agent-${party.toLowerCase()}`, party);

interface Definitions {
  readonly users: readonly {
    readonly name: string;
    readonly password_hash: string;
    readonly tags: readonly string[];
  }[];
  readonly permissions: readonly {
    readonly user: string;
    readonly configure: string;
    readonly write: string;
    readonly read: string;
  }[];
  readonly queues: readonly {
    readonly name: string;
    readonly arguments: Readonly<Record<string, unknown>>;
  }[];
}
const definitions = JSON.parse(brokerDefinitions()) as Definitions;

describe("the broker's definitions", () => {
  it("have no guest, and a password hash of its own for each user", () => {
    expect(definitions.users.map((u) => u.name)).toEqual([
      BROKER_ADMIN,
      "orchestrator",
      "policy-enforcer",
      "api-gateway",
    ]);
    expect(new Set(definitions.users.map((u) => u.password_hash)).size).toBe(4);
    expect(definitions.users.filter((u) => u.tags.length > 0).map((u) => u.name)).toEqual([BROKER_ADMIN]);
  });

  it("dead-letter what the services' queues drop", () => {
    const args = Object.fromEntries(
      definitions.queues.map((q) => [q.name, q.arguments["x-dead-letter-exchange"]]),
    );
    expect(args).toEqual({
      "orchestrator-in": "dead-letter-exchange",
      "policyEnforcer-in": "dead-letter-exchange",
      "api-gateway-in": "dead-letter-exchange",
      dead_letter: undefined,
    });
  });

  it("give nobody everything", () => {
    for (const { configure, write, read } of definitions.permissions)
      for (const right of [configure, write, read]) expect("some-other-queue").not.toMatch(new RegExp(right));
  });

  it("let core services talk to whom they have a reason to, and read nothing but their own", () => {
    const may = Object.fromEntries(
      coreRights().map((r) => [
        r.user,
        ["orchestrator-in", "policyEnforcer-in", "api-gateway-in", "clientone-in"].filter((key) =>
          new RegExp(r.topicWrite).test(key),
        ),
      ]),
    );
    expect(may).toEqual({
      orchestrator: ["orchestrator-in", "policyEnforcer-in", "api-gateway-in", "clientone-in"],
      "policy-enforcer": ["orchestrator-in"],
      "api-gateway": ["orchestrator-in"],
    });
    for (const r of coreRights())
      for (const other of coreRights())
        expect(new RegExp(r.read).test(other.queue ?? "")).toBe(r === other || r.user === other.user);
  });
});

describe("an agent's rights", () => {
  it.each(parties)("let %s work with its own queues", (party) => {
    const rights = rightsOf(party);
    for (const queue of [agentQueue(party), jobQueue(JOB, party)]) {
      for (const right of [rights.configure, rights.write, rights.read, rights.topicWrite, rights.topicRead])
        expect(queue).toMatch(new RegExp(right));
    }
    expect("orchestrator-in").toMatch(new RegExp(rights.topicWrite));
    expect(EXCHANGE).toMatch(new RegExp(rights.write));
  });

  it("let no agent touch another's queues, nor the enforcer's or the gateway's", () => {
    for (const party of parties) {
      const rights = rightsOf(party);
      const others = parties.filter((p) => p !== party).flatMap((p) => [agentQueue(p), jobQueue(JOB, p)]);
      for (const queue of [...others, "policyEnforcer-in", "api-gateway-in"]) {
        for (const right of [
          rights.configure,
          rights.write,
          rights.read,
          rights.topicWrite,
          rights.topicRead,
        ])
          expect(queue, `${party}: ${right}`).not.toMatch(new RegExp(right));
      }
      expect("orchestrator-in").not.toMatch(new RegExp(rights.read));
      expect(EXCHANGE).not.toMatch(new RegExp(rights.configure));
    }
  });
});

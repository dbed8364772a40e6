// A story through the real engine: each test goes on where the one before it ended.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leaveAgreement, readAgreement, writeAgreement } from "../../dynamos/runs/agreements-api.js";
import { shutdownStack } from "../../infra/local/index.js";
import { deepIt } from "../support/deep.js";
import {
  changes,
  kill,
  listening,
  messages,
  paperConfig,
  resources,
  TestMarket,
  unchanged,
  until,
} from "./market.js";

const parties = ["clientone", "clientthree", "clienttwo", "server"];
const services = [
  ...["emulator", "epmd", "broker", "store", "development-issuer"],
  ...["policy-enforcer", "orchestrator", "api-gateway"],
  ...parties.map((party) => `agent-${party}`),
].sort();
/** Every process of the stack as a preview names it. */
const processes = services.map((s) => `update local:Process e2e-${s.replace(/^agent-/, "")}`).sort();
const nothing = /Resources:\n\s+\d+ unchanged\n/;

describe("the paper's marketplace on this machine", { timeout: 180_000 }, () => {
  let market: TestMarket;
  /** All resources of the paper's set-up. */
  let paper: string[] = [];
  const names = (): string[] =>
    market
      .services()
      .map((s) => s.name)
      .sort();

  beforeAll(() => {
    market = new TestMarket();
  });
  afterAll(async () => {
    await market.end();
  }, 120_000);

  it("comes up from nothing", async () => {
    const up = await market.engine.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).not.toMatch(/warning|Error:|\n\s+at /);
    expect(names()).toEqual(services);
    expect(market.down()).toEqual([]);
    expect(up.outputs.gatewayUrl).toBe(market.access().gateway);
    expect(up.outputs.gatewayUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(Object.keys(up.outputs.nodes as object).sort()).toEqual([
      "clientone",
      "clientthree",
      "clienttwo",
      "control",
      "core",
      "server",
    ]);
    expect(up.outputs.stateFolder).toBe(".state/e2e");
    expect(await market.online()).toEqual(parties);
  });

  it("trains where the policy approves", async () => {
    await market.train();
  });

  it.each([
    {
      what: "user",
      change: { user: { id: "bob", userName: "bob@uva.nl" } },
      status: 403,
      answer: {
        status: "refused",
        reasons: parties.slice(0, 3).map((party) => ({ code: "POL-NO-AGREEMENT", party })),
      },
    },
    { what: "request type", change: { type: "vflTrain" }, status: 400, answer: { status: "failed" } },
    {
      what: "data provider",
      change: { dataProviders: ["clientone", "clientnine"] },
      status: 403,
      answer: { status: "refused", reasons: [{ code: "POL-PROVIDER-UNKNOWN", party: "clientnine" }] },
    },
  ])("refuses an unknown $what within a second", async ({ change, status, answer }) => {
    const refused = await market.request({ ...change, data_request: undefined });
    expect(refused.body).toMatchObject(answer);
    expect(refused.status).toBe(status);
    expect(refused.seconds).toBeLessThan(1);
    if (status === 400) expect(refused.body.code).toBe("ORC-REQUEST-TYPE-UNKNOWN");
    else expect(refused.body.revision).toBeGreaterThan(0);
  });

  it("gives a token for a user by the command, and that user gets no further than the token says", async () => {
    const { gateway, operator } = market.access();
    const ask = async (url: string, ...options: string[]): Promise<[number, unknown]> => {
      const { code, stdout, stderr } = await market.run(["token", "--user", "sam@one.nl", ...options]);
      expect(code, stderr).toBe(0);
      const response = await fetch(url, { headers: { authorization: `Bearer ${stdout.trim()}` } });
      return [response.status, ((await response.json()) as { code?: string }).code];
    };
    const agreements = `${operator.url}/api/v1/policyEnforcer/agreements`;
    expect(await ask(`${gateway}/api/v1/getAvailableProviders`)).toEqual([200, undefined]);
    expect(await ask(`${agreements}/clientone`)).toEqual([403, "USR-NOT-YOURS"]);
    const steward = ["--role", "steward:clientone", "--minutes", "5"];
    expect(await ask(`${agreements}/clientone`, ...steward)).toEqual([200, undefined]);
    expect(await ask(`${agreements}/clienttwo`, ...steward)).toEqual([403, "USR-NOT-YOURS"]);
    expect(await ask(`${operator.url}/api/v1/jobs`, "--role", "operator")).toEqual([200, undefined]);
    const wrong = await market.run(["token", "--user", "sam", "--role", "king"]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("SPEC-VALUE")]);
    expect((await market.run(["token"])).code).toBe(2);
    const keys = join(market.state, "nodes/core/development-issuer/keys.json");
    for (const file of [keys, join(market.state, "secrets/issuer-secret")])
      expect(statSync(file).mode & 0o777, file).toBe(0o600);
  });

  it("changes nothing the second time", async () => {
    const before = market.services();
    const up = await market.engine.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).toMatch(nothing);
    expect(market.services()).toEqual(before);
    paper = resources(up);
  });

  describe("with a fourth client", () => {
    const four = paperConfig();
    four.nodes.clientfour = { role: "agent", site: "HAWI" };
    const made = [
      "dynamos:Agent e2e-clientfour",
      "dynamos:BrokerUser e2e-clientfour",
      "dynamos:BrokerUser e2e-clientfour-jobs",
      "dynamos:StoreUsers e2e-clientfour",
      "fabric:Network e2e-hawi",
      "fabric:Node e2e-clientfour",
      "local:Process e2e-clientfour",
    ];
    let pids: number[] = [];

    it("previews exactly the slice's update, its node, its network and its services", async () => {
      market.configure(four);
      const preview = await market.engine.preview(["--show-sames"]);
      expect(changes(preview)).toEqual([...made.map((m) => `create ${m}`), "update fabric:Slice e2e"]);
      expect(unchanged(preview)).toEqual(paper.filter((resource) => resource !== "fabric:Slice e2e"));
      expect(messages(preview)).toMatch(
        /\+ clientfour and a network at HAWI; routes on 6 nodes; nothing replaced; lease until \d{4}-\d\d-\d\d/,
      );
    });

    it("gets it by `up`, and nobody else notices", async () => {
      pids = services.map((s) => market.pidOf(s));
      const up = await market.engine.up();
      expect(up.code, up.text).toBe(0);
      expect(up.text).toMatch(/\+ 7 created\n\s+~ 1 updated\n/);
      expect(names()).toEqual([...services, "agent-clientfour"].sort());
      expect(market.down()).toEqual([]);
      expect(await market.online()).toEqual(["clientfour", ...parties]);
      expect(services.map((s) => market.pidOf(s))).toEqual(pids);
      await market.train();
    });

    it("loses exactly that by `up` without it", async () => {
      market.configure(paperConfig());
      const up = await market.engine.up();
      expect(up.code, up.text).toBe(0);
      expect(up.text).toMatch(/~ 1 updated\n\s+- 7 deleted\n/);
      expect(names()).toEqual(services);
      expect(services.map((s) => market.pidOf(s))).toEqual(pids);
      expect(
        await until(
          () => market.online(),
          (online) => online.length === 4,
          "agents online",
          30,
        ),
      ).toEqual(parties);
      expect(existsSync(join(market.state, "nodes", "clientfour", "agent-clientfour"))).toBe(false);
    });
  });

  describe("after a kill -9", () => {
    it("of an agent, it is there again by itself", async () => {
      const before = market.pidOf("agent-clienttwo");
      kill(before);
      await until(
        () => market.pidOf("agent-clienttwo"),
        (pid) => pid !== before,
        "a new agent",
      );
      await until(
        () => market.down(),
        (down) => down.length === 0,
        "services down",
      );
      await until(
        () => market.online(),
        (online) => online.length === 4,
        "agents online",
        30,
      );
      await market.train();
    });

    it("of the broker, a preview shows it and `up` waits until it is right", async () => {
      // Held still, so that the supervisor does not repair it before the preview has looked.
      const supervisor = market.supervisorPid();
      kill(supervisor, "SIGSTOP");
      try {
        // Its program is a shell that starts the broker proper: the group is both.
        kill(-market.pidOf("broker"));
        await until(
          () => market.down(),
          (down) => down.includes("broker"),
          "services down",
        );
        const preview = await market.engine.preview();
        expect(changes(preview)).toContain("update local:Process e2e-broker");
        expect(changes(preview).filter((c) => !c.startsWith("update local:Process"))).toEqual([]);
        expect(messages(preview)).toMatch(
          /(1 service is|\d services are) down: .*broker.*; up starts (it|them)/,
        );
      } finally {
        kill(supervisor, "SIGCONT");
      }
      const up = await market.engine.up();
      expect(up.code, up.text).toBe(0);
      expect(market.down()).toEqual([]);
      await market.train();
    });

    deepIt("of the supervisor, `up` starts one that takes over what runs", async () => {
      const pids = services.map((s) => market.pidOf(s));
      const before = market.supervisorPid();
      kill(before);
      const preview = await market.engine.preview();
      expect(changes(preview)).toEqual(processes);
      expect(messages(preview)).toContain("12 services run, but their supervisor is not running");
      const up = await market.engine.up();
      expect(up.code, up.text).toBe(0);
      expect(market.supervisorPid()).not.toBe(before);
      expect(services.map((s) => market.pidOf(s))).toEqual(pids);
      await market.train();
    });

    it("of everything at once, a preview shows what is down and `up` puts it right", async () => {
      await market.killEverything();
      const preview = await market.engine.preview();
      expect(changes(preview)).toEqual(processes);
      expect(messages(preview)).toMatch(
        /12 services are down \(their supervisor is not running\): .*; up starts them/,
      );
      const up = await market.engine.up();
      expect(up.code, up.text).toBe(0);
      expect(market.down()).toEqual([]);
      expect(
        await until(
          () => market.online(),
          (online) => online.length === 4,
          "agents online",
          30,
        ),
      ).toEqual(parties);
      await market.train();
    });
  });

  it("never widens an agreement that was narrowed through the API", async () => {
    const { operator } = market.access();
    const stored = await readAgreement(operator, "clientthree");
    if (stored === undefined) throw new Error("clientthree has no agreement");
    const left = await leaveAgreement(operator, stored, "ada@uva.nl");
    const preview = await market.engine.preview();
    expect(changes(preview)).toEqual([]);
    expect(messages(preview)).toContain("POL-AGREEMENT-DRIFT");
    expect(messages(preview)).toContain("clientthree");

    const up = await market.engine.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).toMatch(nothing);
    expect(await readAgreement(operator, "clientthree")).toMatchObject({
      revision: left,
      document: { relations: {} },
    });
    const refused = await market.request();
    expect(refused.body).toMatchObject({ status: "refused", reasons: [{ party: "clientthree" }] });
    expect(refused.body.revision).toBeGreaterThanOrEqual(left);

    await writeAgreement(operator, stored.document, left);
    await market.train();
  });

  describe("with a mistake in its configuration", () => {
    const mistakes = [
      {
        what: "an unknown site",
        make: () => ({
          ...paperConfig(),
          nodes: { ...paperConfig().nodes, clienttwo: { role: "agent", site: "LOAS" } },
        }),
        says: [
          /1 problem; nothing was changed|error: /,
          /nodes\.clienttwo\.site\s+FAB-SITE-UNKNOWN\s.*LOAS.*LOSA/,
        ],
      },
      {
        what: "a party without a node",
        make: () => {
          const { clientthree: _gone, ...nodes } = paperConfig().nodes;
          return { ...paperConfig(), nodes };
        },
        says: [/clientthree\.json/, /[A-Z]+-[A-Z-]+\s.*clientthree/],
      },
      {
        what: "two problems at once",
        make: () => ({
          ...paperConfig(),
          nodes: {
            ...paperConfig().nodes,
            clienttwo: { role: "agnet", site: "LOSA" },
            server: { role: "agent", site: "AMST", cores: 500 },
          },
        }),
        says: [
          /2 problems; nothing was changed/,
          /nodes\.clienttwo\.role\s+SPEC-ROLE-UNKNOWN/,
          /nodes\.server\.cores\s+FAB-SIZE-TOO-LARGE/,
        ],
      },
    ];

    it.each(mistakes)("tells $what in a moment and changes nothing", async ({ make, says }) => {
      const before = market.services();
      market.configure(make() as ReturnType<typeof paperConfig>);
      try {
        const up = await market.run(["up"]);
        expect(up.code).toBe(1);
        for (const line of says) expect(up.stderr).toMatch(line);
        expect(up.stderr).not.toMatch(/\n\s+at /);
        expect(up.stdout).toBe("");
        expect(up.seconds).toBeLessThan(10);
        expect(market.services()).toEqual(before);
      } finally {
        market.configure(paperConfig());
      }
    });

    it("says the same through the engine, without a stack trace", async () => {
      market.configure(mistakes[2]?.make() as ReturnType<typeof paperConfig>);
      const preview = await market.engine.preview();
      market.configure(paperConfig());
      expect(preview.code).not.toBe(0);
      expect(messages(preview)).toMatch(
        /2 problems; nothing was changed[\s\S]*SPEC-ROLE-UNKNOWN[\s\S]*FAB-SIZE-TOO-LARGE/,
      );
      expect(preview.text).not.toMatch(/\\n\s+at /);
    });
  });

  it("is destroyed even when everything was killed, and leaves no process, port or file but logs", async () => {
    const ports = market.ports();
    await market.killEverything();
    const destroyed = await market.engine.destroy();
    expect(destroyed.code, destroyed.text).toBe(0);
    expect(destroyed.resources).toEqual([]);
    await shutdownStack(market.state);
    expect(market.processes()).toEqual([]);
    expect(await listening(ports)).toEqual([]);

    const down = await market.run(["down"]);
    expect(down.code, down.stderr).toBe(0);
    expect(readdirSync(market.state)).toEqual(["logs"]);
    expect(market.processes()).toEqual([]);
  });
});

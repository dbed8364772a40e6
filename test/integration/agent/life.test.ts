import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobQueue, KEY, MESSAGE } from "../../../policy/contract/names.js";
import { deepIt } from "../../support/deep.js";
import { until } from "../../support/servers.js";
import type { Market, OpenRound, RunningAgent } from "./market.js";
import { agreement, claimsOf, openProbeMarket, work } from "./probe.js";

let market: Market;
let agent: RunningAgent;
const AGENT = "gamma";

beforeAll(async () => {
  market = await openProbeMarket();
  for (const name of [AGENT, "delta", "epsilon", "zeta", "eta"])
    await market.store.put(KEY.agreement(name), agreement(name));
  agent = await market.startAgent(AGENT);
}, 120_000);

afterAll(() => market?.close());

async function begin(at = AGENT): Promise<OpenRound> {
  const job = await market.compose([at], "probe");
  return await market.openRound(job, 1, claimsOf(at));
}

/** The pid of a job's microservice, as noted in the agent's working folder. */
function pidOf(at: RunningAgent, job: string, service = "probe"): number {
  return (JSON.parse(readFileSync(join(at.workFolder, job, `${service}.pid`), "utf8")) as { pid: number })
    .pid;
}

/** Whether the note is there and whole: the agent may be writing it at this moment. */
function isNoted(at: RunningAgent, job: string): boolean {
  const file = join(at.workFolder, job, "probe.pid");
  return existsSync(file) && readFileSync(file, "utf8").includes("}");
}

function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

describe("a microservice", () => {
  it("is not started by a composition, and is reused from step to step", async () => {
    const opened = await begin();
    expect(existsSync(join(agent.workFolder, opened.job))).toBe(false);
    const first = await work(market, AGENT, opened);
    expect(first.spans).toEqual([expect.objectContaining({ step: "work" })]);
    expect(first.spans[0]?.startMs).toBeGreaterThan(20);
    expect(first.data).toMatchObject({
      worked: 1,
      role: "dataProvider",
      steward: AGENT,
      job: opened.job,
    });
    const pid = pidOf(agent, opened.job);
    const next = await market.openRound(opened.job, 2, claimsOf(AGENT));
    const second = await work(market, AGENT, next);
    expect(second.data).toMatchObject({ worked: 2, round: 2 });
    expect(second.spans[0]?.startMs).toBe(0);
    expect(pidOf(agent, opened.job)).toBe(pid);
    await market.shutdown(AGENT, opened.job);
    expect(runs(pid)).toBe(false);
    expect(existsSync(join(agent.workFolder, opened.job))).toBe(false);
  });

  it("does the same step of a round once, whatever it is asked again", async () => {
    const opened = await begin();
    await work(market, AGENT, opened);
    expect((await work(market, AGENT, opened)).data).toMatchObject({ worked: 1 });
  });

  it("gets nothing of the agent's environment that it does not need", async () => {
    const opened = await begin();
    const { data } = await work(market, AGENT, opened, { do: "environment" });
    const allowed = [
      "AMQP_HOST",
      "AMQP_PASSWORD_FILE",
      "AMQP_PORT",
      "AMQP_USER",
      "DATA_FOLDER",
      "DATA_STEWARD_NAME",
      "GRANT_KEYS_FILE",
      "HOME",
      "JOB_NAME",
      "JOB_QUEUE",
      "LANG",
      "LOG_LEVEL",
      "NODE_CHANNEL_FD",
      "NODE_CHANNEL_SERIALIZATION_MODE",
      "PATH",
      "ROUND_SECONDS",
      "SERVICE_NAME",
      "TMPDIR",
    ];
    expect(allowed).toEqual(expect.arrayContaining(data?.names as string[]));
    expect(data?.cwd).toBe(join(agent.workFolder, opened.job, "probe"));
    expect(data?.files).toEqual([]);
  });

  it("answers an error as an answer, with its own code if it has one", async () => {
    const [plain, coded, list] = [await begin(), await begin(), await begin()];
    expect((await work(market, AGENT, plain, { do: "throw" })).problem).toMatchObject({
      code: "JOB-FAILED",
      message: "round 1: the columns do not fit",
    });
    expect((await work(market, AGENT, coded, { do: "code" })).problem).toMatchObject({
      code: "VFL-ROWS",
      remedy: "align them",
    });
    expect((await work(market, AGENT, list, { do: "list" })).problem?.code).toBe("JOB-FAILED");
  });

  it("that dies is told at once, and stays dead for its job", async () => {
    const opened = await begin();
    // Its step could take 25 s: that would be JOB-TIMEOUT.
    expect(await work(market, AGENT, opened, { do: "die" })).toMatchObject({
      problem: { code: "JOB-DIED", message: expect.stringContaining("exit code 7") },
      step: "work",
    });
    expect((await work(market, AGENT, opened)).problem?.code).toBe("JOB-DIED");
  });

  it("that is killed in the middle of a step is told within the deadline", async () => {
    const opened = await begin();
    const answer = work(market, AGENT, opened, { do: "sleep", ms: 60_000 });
    await until("microservice started", () => isNoted(agent, opened.job));
    await until("at work", () => agent.log().includes(`"job":"${opened.job}","microservice":"probe","pid":`));
    await sleep(300); // any moment of the step will do
    process.kill(pidOf(agent, opened.job), "SIGKILL");
    expect((await answer).problem).toMatchObject({
      code: "JOB-DIED",
      message: expect.stringContaining("SIGKILL"),
    });
  });

  it("is asked again where the workflow lets it, and no more often", async () => {
    const opened = await begin();
    const step = { step: "flaky" };
    expect(await work(market, AGENT, opened, { do: "flaky", until: 3 }, step)).toMatchObject({
      problem: undefined,
    });
    const never = await work(market, AGENT, await begin(), { do: "flaky", until: 4 }, step);
    expect(never).toMatchObject({
      step: "flaky",
      problem: { code: "JOB-FAILED", message: expect.stringContaining("attempt 3 of 3") },
    });
  });

  it("has the time that the workflow gives its step", async () => {
    const late = await work(market, AGENT, await begin(), { do: "sleep", ms: 20_000 }, { step: "brief" });
    expect(late).toMatchObject({ step: "brief", problem: { code: "JOB-TIMEOUT" } });
  });

  it("that answers garbage is told as such", async () => {
    const opened = await begin();
    expect((await work(market, AGENT, opened, { do: "garbage" })).problem?.code).toBe("JOB-GARBAGE");
  });

  it("that hangs is ended at the step's deadline", async () => {
    const hasty = await market.startAgent("delta", { STEP_SECONDS: "1" });
    const opened = await begin("delta");
    const answer = work(market, "delta", opened, { do: "spin" });
    await until("microservice started", () => isNoted(hasty, opened.job));
    const pid = pidOf(hasty, opened.job);
    expect((await answer).problem?.code).toBe("JOB-TIMEOUT");
    await until("ended", () => !runs(pid));
    await hasty.stop();
  }, 30_000);

  it("ends with its job at the latest after the lifespan", async () => {
    const brief = await market.startAgent("epsilon", { LIFESPAN_MINUTES: "0.05" });
    const opened = await begin("epsilon");
    await work(market, "epsilon", opened);
    const pid = pidOf(brief, opened.job);
    await until(
      "record gone",
      async () => (await market.store.get(KEY.agentJob("epsilon", "ada@uva.nl", opened.job))) === undefined,
    );
    expect(runs(pid)).toBe(false);
    expect(readdirSync(brief.workFolder)).toEqual(["grant-keys.json"]);
    await brief.stop();
  }, 30_000);

  it("has a queue of its own beside another of the same job", async () => {
    const opened = await begin();
    await work(market, AGENT, opened);
    expect(
      (await work(market, AGENT, opened, {}, { step: "elsewhere", service: "other" })).problem?.code,
    ).toBe("JOB-STEP-UNKNOWN");
    // Both queues take a message: the first under DYNAMOS's name, the second numbered on.
    for (const queue of [jobQueue(opened.job, AGENT), `${opened.job}${AGENT}2`])
      await market.bus.publish(queue, MESSAGE.microserviceCommunication, new Uint8Array([255]));
    await market.shutdown(AGENT, opened.job);
    for (const queue of [jobQueue(opened.job, AGENT), `${opened.job}${AGENT}2`])
      await expect(
        market.bus.publish(queue, MESSAGE.microserviceCommunication, new Uint8Array()),
      ).rejects.toMatchObject({ code: "BUS-UNROUTABLE" });
  });
});

describe("an agent", () => {
  it("answers a message that comes twice once, and does its work once", async () => {
    const opened = await begin();
    const correlationId = randomUUID();
    const spec = {
      steps: [{ step: "work", service: "probe" }],
      requestType: "probe",
      request: { do: "sleep", ms: 500 },
      correlationId,
    };
    const answer = market.ticket(AGENT, opened, spec);
    await market.send(AGENT, opened, spec);
    await market.send(AGENT, opened, spec);
    expect((await answer).data).toMatchObject({ worked: 1 });
    await market.send(AGENT, opened, spec);
    // Another message after them all: when it is answered, the copies before it have been handled.
    expect((await work(market, AGENT, opened)).data).toMatchObject({ worked: 1 });
    expect(market.answers.filter((id) => id === correlationId)).toHaveLength(1);
  });

  it("lives on after messages that nobody can read, also of 20 MB", async () => {
    for (const type of [MESSAGE.microserviceCommunication, MESSAGE.compositionRequest, "unheard-of"])
      for (const body of [new Uint8Array([255, 1, 2]), new Uint8Array(20_000_000)])
        await market.bus.publish(`${AGENT}-in`, type, body);
    expect((await work(market, AGENT, await begin())).data).toMatchObject({ worked: 1 });
  });

  it("works by the job's queue alone where it is told to", async () => {
    await market.startAgent("eta", { STEP_CHANNEL: "queue" });
    const opened = await begin("eta");
    expect((await work(market, "eta", opened)).data).toMatchObject({ worked: 1 });
  }, 20_000);

  deepIt(
    "loses no step and does none twice when the broker is restarted under it",
    async () => {
      const file = join(market.folder, "at-work");
      const opened = await begin();
      const answer = market.ticket(
        AGENT,
        opened,
        {
          steps: [{ step: "work", service: "probe" }],
          requestType: "probe",
          request: { do: "sleep", ms: 2_000, file },
        },
        80_000,
      );
      await until("at work", () => existsSync(file));
      await market.broker.restart();
      expect(await answer).toMatchObject({ problem: undefined, data: { worked: 1 } });
      const next = await market.openRound(opened.job, 2, claimsOf(AGENT));
      expect((await work(market, AGENT, next)).data).toMatchObject({ worked: 2 });
    },
    90_000,
  );

  it("that is killed takes its microservices with it; restarted, it cleans up and says that the job is gone", async () => {
    const first = await market.startAgent("zeta");
    const opened = await begin("zeta");
    await work(market, "zeta", opened);
    // One that computes without a pause does not notice that its agent is gone.
    const busy = await begin("zeta");
    await market.send("zeta", busy, {
      steps: [{ step: "work", service: "probe" }],
      requestType: "probe",
      request: { do: "spin" },
    });
    await until("both started", () => [opened, busy].every(({ job }) => isNoted(first, job)));
    const [idle, spinning] = [pidOf(first, opened.job), pidOf(first, busy.job)];
    await until("spinning", () => cpuTicks(spinning) > 100);
    await first.kill9();
    await until("the idle one ended by itself", () => !runs(idle));

    const second = await market.startAgent("zeta");
    expect(runs(spinning)).toBe(false);
    expect(readdirSync(second.workFolder)).toEqual(["grant-keys.json"]);
    expect(await market.store.get(KEY.agentJob("zeta", "ada@uva.nl", opened.job))).toBeUndefined();
    const next = await market.openRound(opened.job, 2, claimsOf("zeta"));
    expect((await work(market, "zeta", next)).problem?.code).toBe("AGT-JOB-UNKNOWN");
    expect((await work(market, "zeta", await begin("zeta"))).data).toMatchObject({ worked: 1 });
  }, 60_000);

  it("that ends in good order answers what is at work and leaves nothing", async () => {
    const opened = await begin();
    const answer = work(market, AGENT, opened, { do: "sleep", ms: 60_000 });
    await until("microservice at work", () =>
      agent.log().includes(`"job":"${opened.job}","microservice":"probe","pid":`),
    );
    await sleep(300); // any moment of the step will do
    expect(await agent.stop()).toBe(0);
    expect((await answer).problem?.code).toBe("JOB-ENDED");
    expect(readdirSync(agent.workFolder)).toEqual(["grant-keys.json"]);
    expect((await market.store.list(KEY.agentJobPrefix(AGENT))).entries).toEqual([]);
    expect(await market.store.get(KEY.online(AGENT))).toBeUndefined();
  }, 30_000);
});

/** Processor time of a process, in the kernel's ticks of 10 ms. */
function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[14 - 3]) + Number(fields[15 - 3]);
}

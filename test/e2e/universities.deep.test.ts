// The second experiment, by the commands that a person types: SQL with and without a third party, and a request that is cancelled.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kill, type MarketConfig, TestMarket, until } from "./market.js";

const ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
const JOIN = {
  query: "SELECT gender, count(*) AS people FROM persons JOIN appointments USING (person) GROUP BY gender",
  combine: "SELECT party, sum(people) AS people FROM result GROUP BY party ORDER BY party",
};

describe("the universities", { timeout: 180_000 }, () => {
  let market: TestMarket;
  const asked = (user: string, type: string, data: object): string[] => [
    ...["request", type, "--user", user, "--providers", "uva,vu", "--data", JSON.stringify(data)],
  ];

  beforeAll(async () => {
    market = new TestMarket();
    const file = parse(readFileSync(resolve("Pulumi.universities.yaml"), "utf8")) as {
      config: Record<string, MarketConfig>;
    };
    market.configure(file.config["dynamos-fabric:marketplace"] as MarketConfig);
    const up = await market.run(["up"]);
    expect(up.code, up.stdout + up.stderr).toBe(0);
  }, 240_000);
  afterAll(() => market.end(), 120_000);

  it("answer each for itself where the computation goes to the data, and say so", async () => {
    const { code, stdout, stderr } = await market.run(asked("ada@uva.nl", "sqlDataRequest", JOIN));
    expect(code, stderr).toBe(0);
    expect(stdout).toBe("uva\nparty  people\nuva       400\n\nvu\nparty  people\nvu        300\n");
    expect(stderr).toContain("archetype computeToData (weight 100): allowed by uva, vu");
    expect(stderr).toContain("combine: uva, vu, each on its own answer to query");
  });

  it("are put together at SURF for who may do so only there", async () => {
    const { code, stdout, stderr } = await market.run(asked("bob@vu.nl", "sqlDataRequest", JOIN));
    expect(code, stderr).toBe(0);
    expect(stdout).toBe("party  people\nuva       400\nvu        300\n");
    expect(stderr).toContain("not computeToData (weight 100): not allowed by uva, vu");
    expect(stderr).toContain("combine: surf on the answers to query of uva, vu");
  });

  it("give no sensitive column to who may not have it, and nothing at all to a stranger", async () => {
    const gap = await market.run(asked("bob@vu.nl", "wageGapRequest", {}));
    expect(gap.code, gap.stderr).toBe(0);
    expect(gap.stdout.trim().split("\n")).toHaveLength(1 + 8);
    const cleo = await market.run(asked("cleo@uva.nl", "wageGapRequest", {}));
    expect([cleo.code, cleo.stdout]).toEqual([3, ""]);
    expect(cleo.stderr).toContain("refused: POL-SENSITIVE");
    expect(cleo.stderr).toContain("column persons.born of staff is sensitive");
    const eve = await market.run(asked("eve@uva.nl", "sqlDataRequest", JOIN));
    expect([eve.code, eve.stderr]).toEqual([3, expect.stringContaining("refused: POL-NO-AGREEMENT")]);
  });

  it("name each wrong field before anything starts", async () => {
    const { code, stderr } = await market.run(
      asked("ada@uva.nl", "sqlDataRequest", { query: 3, kombine: "" }),
    );
    expect(code).toBe(1);
    for (const field of ["combine", "kombine", "query"])
      expect(stderr).toContain(`data_request.data.${field}`);
    expect(stderr).not.toContain("job ");
  });

  it("end a job at Ctrl-C wherever it is worked on, within seconds", async () => {
    const child = market.start(asked("bob@vu.nl", "sqlDataRequest", { ...JOIN, query: ENDLESS }));
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
    const closed = new Promise<number | null>((settle) => child.once("close", (code) => settle(code)));
    // What an agent starts is a program in TypeScript; nothing else of the stack is.
    const working = (): number =>
      market.processes().filter(({ what }) => what.includes("--experimental-strip-types")).length;
    await until(working, (count) => count === 3, "the job is at work at all three");
    const from = performance.now();
    kill(child.pid ?? 0, "SIGINT");
    expect(await closed).toBe(1);
    expect(performance.now() - from).toBeLessThan(10_000);
    expect(text).toContain("ORC-CANCELLED");
    await until(working, (count) => count === 0, "its microservices are gone");
  });
});

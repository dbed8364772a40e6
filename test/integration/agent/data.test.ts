import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Columns } from "../../../policy/contract/documents.js";
import { KEY } from "../../../policy/contract/names.js";
import { until } from "../../support/servers.js";
import { Market, PROJECT, type Report, type RunningAgent } from "./market.js";
import { agreement } from "./probe.js";

const AGENT = "theta";
const PEOPLE = "name,age,ill\nada,36,no\nbob,7,yes\n";
let market: Market;
let agent: RunningAgent;
let data: string;

beforeAll(async () => {
  market = await Market.open(join(PROJECT, "test/integration/agent/experiment"));
  data = join(market.folder, "data");
  mkdirSync(data);
  writeFileSync(join(data, "people.csv"), PEOPLE);
  writeFileSync(join(data, "trips.csv"), "to\nrome\n");
  writeFileSync(join(data, "diary.txt"), "nobody's business");
  const sensitive_columns = { people: ["ill"] };
  const csv = { type: "csv", delimiter: "," };
  await market.store.put(KEY.dataset("people"), {
    ...csv,
    name: "people",
    tables: ["people"],
    sensitive_columns,
  });
  await market.store.put(KEY.dataset("trips"), { ...csv, name: "trips", tables: ["trips"] });
  await market.store.put(KEY.requestType("look"), {
    name: "look",
    requiredServices: ["reader"],
    dataSets: ["people"],
    workflow: { steps: [{ name: "read", service: "reader", role: "dataProvider" }], result: "read" },
  });
  await market.store.put(KEY.microservice("reader"), {
    name: "reader",
    label: "dataProvider",
    allowedOutputs: ["reader"],
    invalidArchetypes: [],
    entry: "microservices/reader.mts",
  });
  await rule({ people: ["name", "age", "ill"] });
  agent = await market.startAgent(AGENT, { DATA_FOLDER: data });
}, 120_000);

afterAll(() => market?.close());

/** Writes the steward's rule for ada, and waits until a grant can be for it. */
async function rule(columns: Columns | undefined): Promise<void> {
  const { note: _note, ...whole } = agreement(AGENT);
  const relations = Object.fromEntries(
    Object.entries(whole.relations).map(([user, rights]) => [
      user,
      {
        ...rights,
        requestTypes: ["look"],
        dataSets: ["people", "trips"],
        ...(columns === undefined ? {} : { columns }),
      },
    ]),
  );
  await market.store.put(KEY.agreement(AGENT), { ...whole, relations });
}

async function look(
  job: string,
  round: number,
  dataSets: readonly string[],
  columns: Columns = {},
): Promise<Report> {
  const opened = await market.openRound(job, round, {
    requestType: "look",
    dataProviders: [AGENT],
    computeProviders: ["server"],
    dataSets,
    columns,
  });
  return await market.ticket(AGENT, opened, {
    steps: [{ step: "read", service: "reader" }],
    requestType: "look",
  });
}

describe("a microservice of the experiment's own", () => {
  it("finds the granted tables and columns in its folder and nothing else, round by round, until its job ends", async () => {
    const job = await market.compose([AGENT], "look");
    const first = await look(job, 1, ["people"], { people: ["age", "name"] });
    expect(first.problem).toBeUndefined();
    expect(first.data?.files).toEqual({ "people.csv": "name,age\nada,36\nbob,7\n" });
    const folder = String(first.data?.dataFolder);
    expect(folder.startsWith(join(agent.workFolder, job)), folder).toBe(true);

    expect((await look(job, 2, ["people", "trips"])).data?.files, "no column is limited").toEqual({
      "people.csv": PEOPLE,
      "trips.csv": "to\nrome\n",
    });
    await rule(undefined);
    const third = await look(job, 3, ["people"]);
    expect(third.data?.files, "a sensitive column that the rule does not name any more").toEqual({
      "people.csv": "name,age\nada,36\nbob,7\n",
    });
    expect((await look(job, 4, [])).data?.files).toEqual({});

    await market.shutdown(AGENT, job);
    await until("the job's folder is gone", () => Promise.resolve(!existsSync(folder)));
    expect(readFileSync(join(data, "people.csv"), "utf8")).toBe(PEOPLE);
  }, 60_000);

  it("is not asked where its files are not what the data set says", async () => {
    await rule(undefined);
    const job = await market.compose([AGENT], "look");
    writeFileSync(join(data, "people.csv"), "name,age,ill\nada\n");
    const bad = await look(job, 1, ["people"], { people: ["name"] });
    expect(bad.problem).toMatchObject({ code: "AGT-DATA", path: "people.csv" });
    expect(JSON.stringify(bad.problem)).not.toContain("ada");
    writeFileSync(join(data, "people.csv"), PEOPLE);
    expect((await look(job, 2, ["people"], { people: ["name"] })).data?.files).toEqual({
      "people.csv": "name\nada\nbob\n",
    });
    await market.shutdown(AGENT, job);
  }, 60_000);
});

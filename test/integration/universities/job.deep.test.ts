import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { staff } from "../../../examples/universities/make-data.mts";
import type { RequestType } from "../../../policy/contract/documents.js";
import { KEY } from "../../../policy/contract/names.js";
import { Market, PROJECT, type Report, type RunningAgent } from "../agent/market.js";

const FOLDER = join(PROJECT, "examples/universities");
const STEWARDS = ["uva", "vu"];
const PARTIES = [...STEWARDS, "surf"];
const LEAST_GROUP = 10;

let market: Market;
let agents: RunningAgent[];

beforeAll(async () => {
  market = await Market.open(FOLDER);
  const put = async (folder: string, key: (name: string) => string): Promise<void> => {
    for (const file of readdirSync(join(FOLDER, folder)).filter((name) => name.endsWith(".json")))
      await market.store.put(key(file.slice(0, -5)), market.document(`${folder}/${file}`));
  };
  await put("requestTypes", KEY.requestType);
  await put("microservices", KEY.microservice);
  await put("datasets", KEY.dataset);
  await put("archetypes", KEY.archetype);
  await put("agreements", KEY.agreement);
  agents = await Promise.all(PARTIES.map((party) => market.startAgent(party)));
}, 120_000);

afterAll(() => market?.close());

/** One request as a coordinator does it, for a user, with the computation at the stewards or at SURF. */
async function ask(
  type: string,
  request: Record<string, unknown>,
  { thirdParty, user = "ada@uva.nl" }: { thirdParty: boolean; user?: string },
): Promise<Readonly<Record<string, Report>>> {
  const parties = thirdParty ? PARTIES : STEWARDS;
  const job = await market.compose(parties, type);
  const agreements = await market.revisions(STEWARDS);
  const token = await market.openRecord(job, 1, agreements);
  const { workflow, dataSets = [], columns = {} } = market.document<RequestType>(`requestTypes/${type}.json`);
  const grant = market.sign({
    dataSets,
    columns,
    job,
    round: 1,
    token,
    agreements,
    requestType: type,
    archetype: thirdParty ? "dataThroughTtp" : "computeToData",
    dataProviders: STEWARDS,
    computeProviders: thirdParty ? ["surf"] : STEWARDS,
    sub: user,
  });
  const reports = await Promise.all(
    parties.map(async (party) => {
      const own = (workflow?.steps ?? []).filter(({ role }) =>
        role === "dataProvider" ? STEWARDS.includes(party) : thirdParty === (party === "surf"),
      );
      const steps = own.map(({ name, service }) => ({ step: name, service }));
      return [
        party,
        await market.ticket(
          party,
          { job, round: 1, token, grant },
          { steps, request, requestType: type, user },
        ),
      ] as const;
    }),
  );
  for (const party of parties) await market.shutdown(party, job);
  return Object.fromEntries(reports);
}

/** What the test works out by itself from the same generator: people of a university at more than 0.8, by scale and gender. */
function wageGroups(party: "uva" | "vu"): Map<string, number[]> {
  const { persons, appointments } = party === "uva" ? staff(7, 400, 1) : staff(11, 300, 1_001);
  const lines = (text: string): string[][] =>
    text
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.split(","));
  const gender = new Map(lines(persons).map(([person = "", , of = ""]) => [person, of]));
  const groups = new Map<string, number[]>();
  for (const [person = "", , scale = "", fte, wage] of lines(appointments)) {
    if (Number(fte) < 0.8) continue;
    const key = `${scale} ${gender.get(person)}`;
    groups.set(key, [...(groups.get(key) ?? []), Math.floor(Number(wage) / 100) * 100]);
  }
  return groups;
}

function expectedGap(...parties: ("uva" | "vu")[]): unknown[] {
  const all = new Map<string, number[]>();
  for (const party of parties)
    for (const [key, wages] of wageGroups(party)) all.set(key, [...(all.get(key) ?? []), ...wages]);
  return [...all]
    .filter(([, wages]) => wages.length >= LEAST_GROUP)
    .map(([key, wages]) => {
      const [scale, gender] = key.split(" ");
      return [
        Number(scale),
        gender,
        wages.length,
        expect.closeTo(wages.reduce((a, b) => a + b) / wages.length, 6),
      ];
    })
    .sort((a, b) => Number(a[0]) - Number(b[0]) || (String(a[1]) < String(b[1]) ? -1 : 1));
}

const JOINED = {
  query:
    "SELECT scale, gender, count(*) AS people FROM persons JOIN appointments USING (person) GROUP BY scale, gender",
  combine: "SELECT party, sum(people) AS people FROM result GROUP BY party ORDER BY party",
};

describe("the universities' staff tables, joined by SQL", () => {
  it("are combined at SURF, the third party, which sees the answers and no table", async () => {
    const { uva, surf } = await ask("sqlDataRequest", JOINED, { thirdParty: true });
    expect([uva?.problem, surf?.problem]).toEqual([undefined, undefined]);
    expect(surf?.data).toEqual({
      columns: ["party", "people"],
      rows: [
        ["uva", 400],
        ["vu", 300],
      ],
    });
    expect(uva?.data).toBeUndefined();
  }, 120_000);

  it("stay at the stewards where the computation goes to the data: each answers for itself", async () => {
    const { uva, vu } = await ask("sqlDataRequest", JOINED, { thirdParty: false });
    expect([uva?.problem, vu?.problem]).toEqual([undefined, undefined]);
    expect([uva?.data?.rows, vu?.data?.rows]).toEqual([[["uva", 400]], [["vu", 300]]]);
  }, 120_000);

  it("show the wage gap at SURF over anonymised tables, the same as worked out by hand", async () => {
    const { surf } = await ask("wageGapRequest", {}, { thirdParty: true, user: "bob@vu.nl" });
    expect(surf?.problem).toBeUndefined();
    expect(surf?.data?.rows).toEqual(expectedGap("uva", "vu"));
    const { uva, vu } = await ask("wageGapRequest", {}, { thirdParty: false });
    expect(uva?.data?.rows).toEqual(expectedGap("uva"));
    expect(vu?.data?.rows).toEqual(expectedGap("vu"));
  }, 120_000);
});

describe("columns that a request must not read", () => {
  it("are refused where the steward's rule does not name a sensitive one", async () => {
    const { uva } = await ask("wageGapRequest", {}, { thirdParty: false, user: "cleo@uva.nl" });
    expect(uva).toMatchObject({
      step: "anonymise",
      problem: { code: "TAB-COLUMN-REFUSED", message: expect.stringContaining("sensitive") },
    });
  }, 120_000);

  it("are refused where the request type does not read them, though another one may", async () => {
    const query = "SELECT wage FROM appointments";
    const { vu } = await ask("sqlDataRequest", { ...JOINED, query }, { thirdParty: false });
    expect(vu).toMatchObject({
      step: "query",
      problem: { code: "TAB-COLUMN-REFUSED", path: expect.stringContaining("appointments.wage") },
    });
  }, 120_000);

  it("leave nothing behind at the agents", () => {
    for (const agent of agents) {
      expect(readdirSync(agent.workFolder)).toEqual(["grant-keys.json"]);
      expect(agent.log()).not.toContain(
        readFileSync(join(FOLDER, "data/uva/persons.csv"), "utf8").split(",")[4] ?? "?",
      );
    }
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DataAccess } from "../../../policy/contract/data-access.js";
import { type Cell, sql, type Table, tablesOf, tablesPart } from "../../../policy/microservices/index.js";
import type { StepInput, StepOutput } from "../../../policy/sidecar/step.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sql-"));
  writeFileSync(
    join(folder, "persons.csv"),
    '\uFEFFperson,name,gender,code\n1,"Boer, Anna",F,007\n2,Bram,M,12\n3,Chaya,,9\n',
  );
  writeFileSync(join(folder, "wages.csv"), "person;wage\n1;3000.5\n2;\n");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ACCESS: DataAccess = {
  staff: { delimiter: ",", tables: { persons: { withheld: ["name"] } } },
  pay: { delimiter: ";", tables: { wages: { columns: ["person", "wage"], withheld: [] } } },
};

async function ask(query: unknown, change: Partial<StepInput> = {}, limits = {}): Promise<Table> {
  const output = (await sql({ limits })({
    round: 1,
    step: "query",
    attempt: 1,
    request: { query },
    data: {},
    parts: {},
    files: {},
    steward: "uva",
    dataFolder: folder,
    dataSets: [],
    columns: {},
    access: ACCESS,
    job: "j",
    role: "dataProvider",
    ...change,
  })) as StepOutput;
  // What the next step gets is what the user would see.
  const [handed] = tablesOf({ uva: output.parts?.tables as Uint8Array });
  expect(handed?.tables.result).toEqual(output.data);
  return output.data as unknown as Table;
}
const code = (promise: Promise<unknown>) =>
  promise.then(
    (value) => expect.fail(`no error: ${JSON.stringify(value)}`),
    (error: { code: string; path?: string; message: string }) => error,
  );

describe("SQL over a steward's files", () => {
  it("joins tables, with numbers as numbers, empty fields as null and 007 as it is written", async () => {
    expect(
      await ask(
        "SELECT person, gender, code, wage FROM persons LEFT JOIN wages USING (person) ORDER BY person",
      ),
    ).toEqual({
      columns: ["person", "gender", "code", "wage"],
      rows: [
        [1, "F", "007", 3000.5],
        [2, "M", "12", null],
        [3, null, "9", null],
      ],
    });
  });

  it("binds the request's parameters, so that a value is never read as SQL", async () => {
    const request = {
      query: "SELECT person FROM persons WHERE gender = :g",
      parameters: { g: "F' OR 1=1 --" },
    };
    expect((await ask("", { request })).rows).toEqual([]);
    expect((await ask("", { request: { ...request, parameters: { g: "F" } } })).rows).toEqual([[1]]);
  });

  it("names a second column of one name apart", async () => {
    expect((await ask("SELECT * FROM persons a JOIN persons b USING (person)")).columns).toEqual([
      "person",
      "gender",
      "code",
      "gender:1",
      "code:1",
    ]);
  });

  it.each([
    "SELECT name FROM persons",
    'SELECT p."name" FROM persons p',
    "SELECT NAME FROM persons",
    "SELECT 1 FROM persons WHERE name LIKE 'B%'",
  ])("refuses a sensitive column: %s", async (query) => {
    expect(await code(ask(query))).toMatchObject({
      code: "TAB-COLUMN-REFUSED",
      path: "persons.name",
      message: expect.stringContaining("sensitive"),
    });
  });

  it("has nothing of a sensitive column in SELECT * nor in its own catalogue", async () => {
    expect((await ask("SELECT * FROM persons")).columns).not.toContain("name");
    const { rows } = await ask("SELECT sql FROM sqlite_master");
    expect(JSON.stringify(rows)).not.toContain("name");
  });

  it("says which columns a request does not read though they are there", async () => {
    const access = {
      staff: { delimiter: ",", tables: { persons: { columns: ["person"], withheld: [] } } },
    };
    expect(await code(ask("SELECT gender FROM persons", { access }))).toMatchObject({
      code: "TAB-COLUMN-REFUSED",
      path: "persons.gender",
      message: expect.stringContaining("not among the columns"),
    });
  });

  it.each([
    "DELETE FROM persons",
    "WITH x AS (SELECT 1) INSERT INTO persons SELECT 1,2,3",
    "SELECT 1; SELECT 2",
    "PRAGMA hard_heap_limit=0",
    "ATTACH '/etc/passwd' AS p",
    "",
    17,
  ])("refuses what is not one query: %s", async (query) => {
    expect(await code(ask(query))).toMatchObject({ code: "SQL-NOT-A-QUERY" });
  });

  it("refuses a query of more than 100,000 characters", async () => {
    expect(await code(ask(`SELECT 1${" ".repeat(100_000)}`))).toMatchObject({ code: "SQL-NOT-A-QUERY" });
  });

  it("tells the engine's own words of a wrong query", async () => {
    expect(await code(ask("SELECT nobody FROM persons"))).toMatchObject({
      code: "SQL-WRONG",
      message: expect.stringContaining("no such column: nobody"),
    });
    expect(await code(ask("SELECT readfile('/etc/passwd')"))).toMatchObject({ code: "SQL-WRONG" });
  });

  it("is bounded in rows, bytes, memory and time", async () => {
    const endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT";
    expect(await code(ask(`${endless} x FROM n`, {}, { rows: 1_000 }))).toMatchObject({ code: "SQL-ROWS" });
    expect(
      await code(ask(`${endless} hex(zeroblob(1000)) FROM n`, {}, { bytesOfAnswer: 1e5 })),
    ).toMatchObject({
      code: "SQL-BYTES",
    });
    expect(
      await code(ask("SELECT length(hex(zeroblob(100000000)))", {}, { bytesOfMemory: 32 * 1024 * 1024 })),
    ).toMatchObject({ code: "SQL-MEMORY" });
    const begin = performance.now();
    expect(await code(ask(`${endless} count(*) FROM n`, {}, { milliseconds: 1_500 }))).toMatchObject({
      code: "SQL-TIME",
    });
    expect(performance.now() - begin).toBeLessThan(15_000);
  }, 60_000);

  it("says which file is not as it should be, and quotes nothing of it", async () => {
    const tables = (name: string, columns?: string[]) => ({
      d: { delimiter: ",", tables: { [name]: { withheld: [], ...(columns && { columns }) } } },
    });
    expect(await code(ask("SELECT 1", { access: tables("gone") }))).toMatchObject({
      code: "TAB-DATA",
      path: "gone.csv",
    });
    expect(await code(ask("SELECT 1", { access: tables("persons", ["age"]) }))).toMatchObject({
      code: "TAB-DATA",
      message: expect.stringContaining("no column age"),
    });
    writeFileSync(join(folder, "torn.csv"), "a,b\n1,2\nsecret\n");
    const torn = await code(ask("SELECT 1", { access: tables("torn") }));
    expect(torn.code).toBe("TAB-DATA");
    expect(torn.message).not.toContain("secret");
  });
});

describe("SQL over what other steps handed over", () => {
  const part = (rows: Cell[][], columns = ["scale", "people"]) =>
    tablesPart({ result: { columns, rows } }).tables as Uint8Array;

  it("has the parties' rows in one table at a compute provider", async () => {
    const parts = {
      vu: part([[12, 5]]),
      uva: part([
        [10, 3],
        [12, 1],
      ]),
    };
    expect(
      await ask("SELECT party, sum(people) AS people FROM result GROUP BY party ORDER BY party", {
        parts,
        role: "computeProvider",
      }),
    ).toEqual({
      columns: ["party", "people"],
      rows: [
        ["uva", 4],
        ["vu", 5],
      ],
    });
  });

  it("has its own tables as they are at a data provider", async () => {
    expect((await ask("SELECT * FROM result", { parts: { uva: part([[10, 3]]) } })).columns).toEqual([
      "scale",
      "people",
    ]);
  });

  it("refuses answers that do not fit together, and parts that are no tables", async () => {
    const parts = { vu: part([[1]], ["a"]), uva: part([[1]], ["b"]) };
    expect(await code(ask("SELECT 1", { parts, role: "computeProvider" }))).toMatchObject({
      code: "TAB-COLUMNS-DIFFER",
    });
    for (const wrong of [
      new Float64Array(1),
      new TextEncoder().encode("{"),
      new TextEncoder().encode('{"t":{"columns":["a"],"rows":[[1,2]]}}'),
    ])
      expect(await code(ask("SELECT 1", { parts: { vu: wrong } }))).toMatchObject({
        code: "TAB-INPUT",
        path: "vu",
      });
  });
});

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grantData } from "../../../policy/agent/granted-data.js";
import type { DataAccess, TableAccess } from "../../../policy/contract/data-access.js";

let folder: string;
let from: string;
let to: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "granted-"));
  from = join(folder, "data");
  to = join(folder, "job", ".data");
  mkdirSync(from);
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(join(from, name), text);
const read = (name: string): string => readFileSync(join(to, name), "utf8");
const access = (tables: Record<string, TableAccess>, delimiter = ","): DataAccess => ({
  set: { delimiter, tables },
});

describe("the files that a microservice is given", () => {
  it("are those of the tables that may be read, whole where nothing is kept back", async () => {
    write("people.csv", "name,age\nada,36\n");
    write("secrets.csv", "a\n1\n");
    const granted = access({ people: { withheld: [] } });
    expect(await grantData(from, to, granted)).toEqual(granted);
    expect(readdirSync(to)).toEqual(["people.csv"]);
    // The same file, not a copy.
    expect(statSync(join(to, "people.csv")).ino).toBe(statSync(join(from, "people.csv")).ino);
  });

  it("have only the columns that may be read, and say which were left out", async () => {
    write("people.csv", '\ufeffname;age;ill\n"a;d\na";36;no\n\n" b ""c""";7;yes\n');
    const told = await grantData(
      from,
      to,
      access({ people: { columns: ["ill", "name"], withheld: ["ill"] } }, ";"),
    );
    expect(told.set?.tables.people?.left).toEqual(["age", "ill"]);
    expect(read("people.csv")).toBe('name\n"a;d\na"\n" b ""c"""\n');
    expect(statSync(join(to, "people.csv")).mode & 0o777).toBe(0o400);
    expect(readFileSync(join(from, "people.csv"), "utf8"), "the steward's own").toContain("age");
  });

  it("are the whole file where it has nothing that is kept back", async () => {
    write("people.csv", "name,age\nada,36\n");
    await grantData(from, to, access({ people: { withheld: ["ill"] } }));
    expect(statSync(join(to, "people.csv")).ino).toBe(statSync(join(from, "people.csv")).ino);
  });

  it("follow another grant: what it does not name is gone", async () => {
    write("people.csv", "name,age\nada,36\n");
    write("trips.csv", "to\nrome\n");
    await grantData(from, to, access({ people: { withheld: [] }, trips: { withheld: [] } }));
    await grantData(from, to, access({ people: { columns: ["age"], withheld: [] } }));
    expect(readdirSync(to)).toEqual(["people.csv"]);
    expect(read("people.csv")).toBe("age\n36\n");
    await grantData(from, to, {});
    expect(readdirSync(to)).toEqual([]);
    expect(readFileSync(join(from, "people.csv"), "utf8")).toBe("name,age\nada,36\n");
  });

  it("leave out what the steward does not have", async () => {
    expect(await grantData(from, to, access({ gone: { columns: ["a"], withheld: [] } }))).toBeDefined();
    expect(readdirSync(to)).toEqual([]);
  });

  it.each([
    ["people", "name,age\nada\n", "line 2 is no CSV"],
    ["people", 'name,age\n"ada', "is no CSV"],
    ["../data/people", "name,age\nada,36\n", "a table's name is no path"],
  ])("are refused with a code: %s, %j", async (table, text, message) => {
    write("people.csv", text);
    const granted = grantData(from, to, access({ [table]: { columns: ["age"], withheld: [] } }));
    await expect(granted).rejects.toMatchObject({
      code: "AGT-DATA",
      message: expect.stringContaining(message),
    });
    await expect(granted).rejects.not.toThrow(/ada/);
    expect(readdirSync(to)).toEqual([]);
  });

  it("read as the same values, whatever is in them", async () => {
    const value = fc
      .string({ maxLength: 8, unit: fc.constantFrom(...'ab,;"\n\r\t é'.split("")) })
      .map((t) => t.trim());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 5 }),
        fc.constantFrom(",", ";", "\t"),
        async (rows, delimiter) => {
          const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
          const lines = [["x", "y", "z"], ...rows].map((r) => r.map(quoted).join(delimiter));
          write("t.csv", lines.join("\n"));
          await grantData(from, to, access({ t: { columns: ["x", "z"], withheld: [] } }, delimiter));
          const back: unknown = parse(read("t.csv"), { delimiter, columns: true });
          expect(back).toEqual(rows.map(([x, , z]) => ({ x, z })));
        },
      ),
      { numRuns: 200 },
    );
  });
});

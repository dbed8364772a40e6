import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataAccess } from "../../../policy/contract/data-access.js";
import type { Dataset } from "../../../policy/contract/documents.js";

const STAFF: Dataset = {
  name: "staff",
  type: "csv",
  delimiter: ",",
  tables: ["persons", "appointments"],
  sensitive_columns: { persons: ["name"], appointments: ["wage"] },
};
const OTHER: Dataset = {
  name: "other",
  type: "csv",
  delimiter: ";",
  tables: ["other"],
  sensitive_columns: { other: ["x"] },
};
const READS = {
  dataSets: ["staff"],
  columns: { staff: ["persons.name", "persons.gender", "appointments.wage"] },
};

describe("what a step may read", () => {
  it("is nothing without a rule for the user", () => {
    expect(dataAccess(READS, [STAFF], undefined)).toEqual({});
  });

  it("is what the request type names, without the sensitive columns that the rule does not name", () => {
    expect(dataAccess(READS, [STAFF, OTHER], {})).toEqual({
      staff: {
        delimiter: ",",
        tables: {
          persons: { columns: ["gender"], withheld: ["name"] },
          appointments: { columns: [], withheld: ["wage"] },
        },
      },
    });
    const rule = { columns: { staff: ["persons.name", "persons.gender", "appointments.wage"] } };
    expect(dataAccess(READS, [STAFF], rule).staff?.tables).toEqual({
      persons: { columns: ["name", "gender"], withheld: [] },
      appointments: { columns: ["wage"], withheld: [] },
    });
  });

  it("writes the columns of a data set with one table without the table", () => {
    const type = { dataSets: ["other"] };
    expect(dataAccess(type, [OTHER], {}).other?.tables).toEqual({ other: { withheld: ["x"] } });
    expect(dataAccess(type, [OTHER], { columns: { other: ["x", "y"] } }).other?.tables).toEqual({
      other: { columns: ["x", "y"], withheld: [] },
    });
  });

  it("leaves out a data set that the rule does not name", () => {
    expect(dataAccess(READS, [STAFF], { dataSets: ["other"] })).toEqual({});
  });

  it("never holds a sensitive column that the rule does not name, nor one beyond the request type or the rule", () => {
    const columns = fc.subarray(["persons.name", "persons.gender", "persons.born", "appointments.wage"]);
    const maybe = fc.option(columns, { nil: undefined });
    fc.assert(
      fc.property(maybe, maybe, (wanted, allowed) => {
        const type = { dataSets: ["staff"], ...(wanted && { columns: { staff: wanted } }) };
        const tables =
          dataAccess(type, [STAFF], allowed ? { columns: { staff: allowed } } : {}).staff?.tables ?? {};
        for (const [table, { columns: readable, withheld }] of Object.entries(tables)) {
          for (const sensitive of STAFF.sensitive_columns?.[table] ?? [])
            expect(withheld.includes(sensitive)).toBe(!(allowed ?? []).includes(`${table}.${sensitive}`));
          for (const column of readable ?? []) {
            expect(withheld).not.toContain(column);
            expect(wanted ?? [`${table}.${column}`]).toContain(`${table}.${column}`);
            expect(allowed ?? [`${table}.${column}`]).toContain(`${table}.${column}`);
          }
          if (wanted !== undefined || allowed !== undefined) expect(readable).toBeDefined();
        }
      }),
    );
  });
});

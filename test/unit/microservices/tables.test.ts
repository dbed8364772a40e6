import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  aggregateTable,
  anonymiseTable,
  type Cell,
  type Table,
} from "../../../policy/microservices/index.js";

const PEOPLE: Table = {
  columns: ["name", "born", "wage", "gender"],
  rows: [
    ["Anna", "1987-06-05", 3_147, "F"],
    ["Bram", "1991-01-02", 2_999, "M"],
    ["Chaya", null, null, "F"],
  ],
};

describe("anonymise", () => {
  it("drops and generalises columns, and says what it did", () => {
    const rule = {
      drop: ["name"],
      generalise: { born: { keep: 4 }, wage: { step: 500 }, gender: { map: { F: "woman" } } },
    } as const;
    expect(anonymiseTable("people", PEOPLE, rule)).toEqual({
      table: {
        columns: ["born", "wage", "gender"],
        rows: [
          ["1987", 3_000, "woman"],
          ["1991", 2_500, null],
          [null, null, "woman"],
        ],
      },
      done: { dropped: ["name"], generalised: rule.generalise, rows: 3 },
    });
  });

  it("takes a rule that does nothing for a mistake", () => {
    for (const rule of [
      { drop: ["nmae"] },
      { generalise: { nmae: { keep: 1 } } },
      { generalise: { name: { step: 5 } } },
    ])
      expect(() => anonymiseTable("people", PEOPLE, rule)).toThrow(
        expect.objectContaining({ code: "TAB-COLUMN" }),
      );
  });

  it("leaves no value of a dropped column and no finer value of a generalised one, whatever the table holds", () => {
    const cell = fc.oneof(fc.integer(), fc.constant(null));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uuid(), cell)), fc.integer({ min: 1, max: 1e6 }), (rows, step) => {
        const { table } = anonymiseTable(
          "t",
          { columns: ["id", "n"], rows },
          { drop: ["id"], generalise: { n: { step } } },
        );
        expect(table.rows).toHaveLength(rows.length);
        for (const [i, [n]] of table.rows.entries()) {
          const raw = rows[i]?.[1] ?? null;
          if (raw === null) expect(n).toBeNull();
          else
            expect([
              Math.abs((n as number) % step),
              raw - (n as number) >= 0,
              raw - (n as number) < step,
            ]).toEqual([0, true, true]);
        }
      }),
    );
  });
});

describe("aggregate", () => {
  it("measures each group, in order, and only tells how many groups are too small to be shown", () => {
    const rule = {
      groupBy: ["gender"],
      measures: {
        people: { measure: "count" },
        mean: { measure: "mean", of: "wage" },
        least: { measure: "min", of: "wage" },
        known: { measure: "count", of: "wage" },
      },
    } as const;
    expect(aggregateTable(PEOPLE, rule)).toEqual({
      table: {
        columns: ["gender", "people", "mean", "least", "known"],
        rows: [
          ["F", 2, 3_147, 3_147, 1],
          ["M", 1, 2_999, 2_999, 1],
        ],
      },
      suppressed: 0,
    });
    const { table, suppressed } = aggregateTable(PEOPLE, { ...rule, leastGroup: 2 });
    expect([table.rows.map(([gender]) => gender), suppressed]).toEqual([["F"], 1]);
    expect(() => aggregateTable(PEOPLE, { ...rule, groupBy: ["age"] })).toThrow(
      expect.objectContaining({ code: "TAB-COLUMN", path: "groupBy[0]" }),
    );
  });

  it("does not depend on the order of the rows, and counts each once", () => {
    const cell: fc.Arbitrary<Cell> = fc.oneof(
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom("a", "b", null),
    );
    const rows = fc.array(fc.tuple(cell, fc.integer({ min: 0, max: 100 })));
    fc.assert(
      fc.property(rows, (given) => {
        const of = (all: Cell[][]) =>
          aggregateTable(
            { columns: ["k", "v"], rows: all },
            { groupBy: ["k"], measures: { n: { measure: "count" }, sum: { measure: "sum", of: "v" } } },
          ).table.rows;
        const answer = of(given);
        expect(of([...given].reverse())).toEqual(answer);
        expect(answer.reduce((sum, row) => sum + (row[1] as number), 0)).toBe(given.length);
        expect(answer.reduce((sum, row) => sum + (row[2] as number), 0)).toBe(
          given.reduce((sum, [, v]) => sum + v, 0),
        );
      }),
    );
  });
});

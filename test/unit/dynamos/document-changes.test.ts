import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agreementHistory, diffAgreements } from "../../../dynamos/cli/agreements.js";
import { documentChanges } from "../../../dynamos/document-changes.js";
import { contentHash } from "../../../infra/content-hash.js";

const rule = { ID: "1", requestTypes: ["sum"], allowedArchetypes: ["a"], allowedComputeProviders: [] };
const agreement = { name: "ada", relations: { "bob@uva.nl": rule }, computeProviders: [], archetypes: ["a"] };

describe("what differs between two versions", () => {
  it("is told by path: users that came and went, entries of lists, other values", () => {
    expect(
      documentChanges(agreement, {
        ...agreement,
        relations: { eve: rule },
        archetypes: ["b"],
        onRevocation: "stop",
      }),
    ).toEqual([
      '- archetypes: "a"',
      '+ archetypes: "b"',
      '+ onRevocation: "stop"',
      '- relations["bob@uva.nl"]',
      "+ relations.eve",
    ]);
    expect(documentChanges(agreement, 7)[0]).toMatch(/^~ \(document\): /);
  });

  it("is nothing exactly where they are the same, but for the order in lists", () => {
    const list = fc
      .uniqueArray(fc.constantFrom("a", "b", "c"), { maxLength: 3 })
      .map((names) => names.sort());
    const value = fc.record(
      {
        archetypes: list,
        relations: fc.dictionary(fc.constantFrom("u", "v"), fc.record({ requestTypes: list })),
        ID: fc.string(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(documentChanges(a, b).length === 0).toBe(contentHash(a) === contentHash(b));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("dynamos-fabric agreements", () => {
  it("diff tells what pull would change", async () => {
    const live = [
      { name: "ada", document: { ...agreement, relations: {} }, revision: 214 },
      { name: "new", document: agreement, revision: 215 },
      { name: "same", document: agreement, revision: 3 },
    ];
    const file = (name: string) => ({
      kind: "agreement" as const,
      name,
      file: `agreements/${name}.json`,
      value: agreement,
    });
    expect(
      await diffAgreements({ list: async () => live }, [file("ada"), file("same"), file("gone")] as never),
    ).toEqual([
      "ada  revision 214  agreements/ada.json",
      '  - relations["bob@uva.nl"]',
      "new  revision 215  has no file",
      "gone  not in the marketplace  agreements/gone.json",
    ]);
  });

  it("history tells each change by its revision, the newest first", async () => {
    const versions = [
      { revision: 11, document: agreement },
      { revision: 12, document: { ...agreement, archetypes: [] } },
      { revision: 20, document: null },
      { revision: 31, document: agreement },
      { revision: 32, document: agreement },
    ];
    expect(await agreementHistory({ agreementHistory: async () => versions }, "ada")).toEqual([
      "revision 32  written again, the same",
      "revision 31  written",
      "revision 20  taken away",
      "revision 12  changed",
      '  - archetypes: "a"',
      "revision 11  written",
    ]);
  });
});

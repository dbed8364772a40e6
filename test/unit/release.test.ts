/** The release workflow as it is written; what its steps do up to the push is run in test/integration/kubernetes/release.deep.test.ts. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly needs?: string;
  readonly "timeout-minutes"?: number;
  readonly steps: readonly {
    readonly uses?: string;
    readonly run?: string;
    readonly with?: Readonly<Record<string, unknown>>;
    readonly env?: Readonly<Record<string, string>>;
  }[];
}
const workflow = parse(readFileSync(".github/workflows/release.yml", "utf8")) as {
  readonly on: unknown;
  readonly permissions: object;
  readonly jobs: Readonly<Record<string, Job>>;
};
const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};
const jobs = Object.entries(workflow.jobs);
const steps = jobs.flatMap(([, job]) => job.steps);

describe("the release workflow", () => {
  it("runs for a version's tag and for nothing else", () => {
    expect(workflow.on).toEqual({ push: { tags: ["v[0-9]+.[0-9]+.[0-9]+"] } });
  });

  it("may do nothing but what each job needs", () => {
    expect(workflow.permissions).toEqual({});
    expect(Object.fromEntries(jobs.map(([name, { permissions }]) => [name, permissions]))).toEqual({
      check: { contents: "read" },
      package: { contents: "read", "id-token": "write" },
      images: { contents: "read", packages: "write" },
    });
    for (const { uses = "", with: given } of steps)
      if (uses.startsWith("actions/checkout@")) expect(given).toMatchObject({ "persist-credentials": false });
  });

  it("publishes nothing before all tests have passed, and hangs nowhere", () => {
    for (const [name, job] of jobs) {
      expect(job["timeout-minutes"], name).toBeLessThanOrEqual(60);
      if (name !== "check") expect(job.needs).toBe("check");
    }
    expect(workflow.jobs.check?.steps.map(({ run }) => run)).toEqual(
      expect.arrayContaining(["npm run check", "npm test"]),
    );
  });

  it("uses actions of GitHub's own, each of one version", () => {
    const used = steps.flatMap(({ uses }) => uses ?? []);
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((uses) => !/^actions\/[\w-]+@v\d+\.\d+\.\d+$/.test(uses))).toEqual([]);
  });

  it("has no secret in a command line, and none where it is not needed", () => {
    expect(steps.filter(({ run = "" }) => run.includes("secrets."))).toEqual([]);
    const secrets = steps.flatMap(({ env = {} }) => Object.values(env)).sort();
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as GitHub writes it
    expect(secrets).toEqual(["${{ secrets.GITHUB_TOKEN }}", "${{ secrets.NPM_TOKEN }}"]);
    // Text of others is not pasted into a script.
    expect(steps.filter(({ run = "" }) => run.includes("${{"))).toEqual([]);
  });

  it("runs scripts that package.json has", () => {
    const called = steps.flatMap(({ run = "" }) =>
      [...run.matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name),
    );
    expect(called.length).toBeGreaterThan(0);
    expect(called.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

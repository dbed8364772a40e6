import { describe, expect, it } from "vitest";
import {
  type ProgramRun,
  programArguments,
  programEnvironment,
  runOutcome,
} from "../../../infra/toolchain/program-run.js";

const run: ProgramRun = {
  project: "p",
  stack: "dev",
  organization: "organization",
  root: "/a b",
  folder: "/a b/main",
  entryPoint: "pulumi.cjs",
  dryRun: true,
  parallel: 16,
  monitor: "127.0.0.1:1",
  engine: "127.0.0.1:2",
  config: { "p:x": "1" },
  secretKeys: ["p:s"],
  typescript: false,
  args: [],
};

describe("a program's run", () => {
  it("is told to the SDK as the official host tells it", () => {
    expect(programArguments(run).join(" ")).toBe(
      "--monitor 127.0.0.1:1 --engine 127.0.0.1:2 --organization organization --project p --root-directory /a b --stack dev --pwd /a b/main --parallel 16 --dry-run pulumi.cjs",
    );
    expect(programArguments({ ...run, dryRun: false, parallel: 0, organization: "" })).not.toContain(
      "--dry-run",
    );
    expect(programArguments({ ...run, parallel: 0 })).not.toContain("--parallel");
    expect(programEnvironment(run)).toEqual({
      PULUMI_CONFIG: '{"p:x":"1"}',
      PULUMI_CONFIG_SECRET_KEYS: '["p:s"]',
      PULUMI_NODEJS_TYPESCRIPT: "false",
    });
  });

  it("ends well, told already, or with an error", () => {
    expect(runOutcome(0, null)).toEqual({});
    expect(runOutcome(32, null)).toEqual({ bail: true });
    expect(runOutcome(7, null)).toEqual({ error: "program exited with code 7" });
    expect(runOutcome(null, "SIGKILL")).toEqual({ error: "program was ended by SIGKILL" });
  });
});

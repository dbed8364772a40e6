import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EMULATOR, emulatorService } from "../../../dynamos/services.js";
import { openEndpoint } from "../../../infra/fabric/endpoint.js";
import type { SliceMark } from "../../../infra/fabric/mark.js";
import { ensureMark } from "../../../infra/fabric/mark-file.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { ensureSupervisor, shutdownStack } from "../../../infra/local/index.js";
import { EmulatedFabric, testToken } from "../../support/emulated-fabric.js";
import { newStack } from "../local/stack-fixture.js";

const main = resolve(__dirname, "../../../dist/dynamos/cli/main.js");

/** A home with FABlib's files, a project with one stack, and slices of three kinds. */
let home = "";
let fabric: EmulatedFabric;
const ids: Record<string, string> = {};

const project = () => join(home, "project");
const state = () => join(project(), ".state", "dev");

beforeAll(async () => {
  fabric = await EmulatedFabric.start();
  home = mkdtempSync(join(tmpdir(), "dynamos-fabric slices "));
  const config = join(home, "work", "fabric_config");
  mkdirSync(config, { recursive: true });
  mkdirSync(project());
  writeFileSync(join(config, "key.pub"), "ssh-ed25519 AAAA test\n");
  writeFileSync(join(home, "tokens.json"), JSON.stringify({ id_token: testToken() }));
  writeFileSync(
    join(config, "fabric_rc"),
    [
      `export FABRIC_ORCHESTRATOR_HOST=${fabric.host}`,
      `export FABRIC_TOKEN_LOCATION="${join(home, "tokens.json")}"`,
      `export FABRIC_SLICE_PUBLIC_KEY_FILE="${join(config, "key.pub")}"`,
    ].join("\n"),
  );
  writeFileSync(join(project(), "Pulumi.yaml"), "name: demo\nruntime: nodejs\n");
  const owner = { project: "demo", stack: "dev" };
  await make("demo-dev", ensureMark(state(), "demo-dev", owner));
  await make("demo-old", { ...owner, stack: "old", id: "another-mark" });
  await make("by-hand", { ...owner, id: "taken-out-below" });
  const { model = "" } = await fabric.api.slice(ids["by-hand"] ?? "");
  await fabric.api.modify(
    ids["by-hand"] ?? "",
    model.replaceAll(/"dynamos_fabric"|&quot;dynamos_fabric&quot;/g, '"nothing"'),
  );
});

async function make(name: string, mark: SliceMark): Promise<void> {
  const keeper = new SliceKeeper({ api: fabric.api, mark, sshKeys: () => ["ssh-ed25519 AAAA test"] });
  const spec = parseSliceSpec({ name, lease: "2d", nodes: { aa: { site: "AMST" }, bb: { site: "LOSA" } } });
  ids[name] = (await keeper.create(spec)).id;
}

afterAll(async () => {
  await fabric.stop();
  rmSync(home, { recursive: true, force: true });
});

describe("a stack on this machine", () => {
  it("has its slices listed and renewed at its own emulator; without one it has none", {
    timeout: 90_000,
  }, async () => {
    const stack = newStack();
    writeFileSync(join(stack.project, "Pulumi.yaml"), "name: demo\nruntime: nodejs\n");
    writeFileSync(
      join(stack.project, "Pulumi.dev.yaml"),
      'config: { "dynamos-fabric:marketplace": { target: local, lease: 3d } }\n',
    );
    const none = await at(stack.project, "slices");
    expect([none.code, none.stdout]).toEqual([0, "no slices\n"]);
    const idle = await at(stack.project, "renew");
    expect([idle.code, idle.stdout, idle.stderr]).toEqual([
      0,
      "",
      "stack dev has no slice; nothing to renew\n",
    ]);
    await (await ensureSupervisor(stack.state, stack.project)).put(emulatorService());
    const { api, sshKeys } = await openEndpoint(
      { kind: "local", state: ".state/dev", service: EMULATOR },
      stack.project,
    );
    const mark = ensureMark(stack.state, "demo-dev", { project: "demo", stack: "dev" });
    const spec = parseSliceSpec({ name: "demo-dev", lease: "2d", nodes: { aa: { site: "AMST" } } });
    await new SliceKeeper({ api, mark, sshKeys }).create(spec);
    expect((await at(stack.project, "slices")).stdout).toMatch(
      /^demo-dev +this stack +demo\/dev +StableOK .* 47 hours left/m,
    );
    const renewed = await at(stack.project, "renew", "--now");
    expect(renewed.code, renewed.stderr).toBe(0);
    expect(renewed.stdout).toMatch(/^slice demo-dev · renewed · .*, 2 days left$/m);
    await shutdownStack(stack.state);
  });
});

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const cli = (...args: readonly string[]): Promise<Run> => at(project(), ...args);

function at(folder: string, ...args: readonly string[]): Promise<Run> {
  const env = { ...process.env, HOME: home, FABRIC_ORCHESTRATOR_HOST: fabric.host };
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [main, "-C", folder, ...args],
      { env },
      (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
    child.stdin?.end();
  });
}

/** What FABRIC has of a slice, to see that nobody touched it. */
async function digest(name: string): Promise<string> {
  const { model, state: at, leaseEnd } = await fabric.api.slice(ids[name] ?? "");
  return createHash("sha256")
    .update(JSON.stringify([model, at, leaseEnd]))
    .digest("hex");
}

const isSliceThere = async (name: string): Promise<boolean> =>
  (await fabric.api.slices()).some((s) => s.sliceId === ids[name] && s.state === "StableOK");

describe("dynamos-fabric slices", { timeout: 60_000 }, () => {
  it("lists all slices with mark, stack, age and lease in columns, this stack's first", async () => {
    const { code, stdout, stderr } = await cli("slices");
    expect(code, stderr).toBe(0);
    const [head = "", ...rows] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^slice +mark +stack +state +age +lease +owner +id$/);
    const age = expect.stringMatching(/^\d+ minutes?$/);
    expect(rows.map((r) => r.split(/ {2,}/).slice(0, 6))).toEqual([
      ["demo-dev", "this stack", "demo/dev", "StableOK", age, "47 hours left"],
      ["demo-old", "other stack", "demo/old", "StableOK", age, "47 hours left"],
      ["by-hand", "no mark", "-", "StableOK", age, "47 hours left"],
    ]);
    const column = head.indexOf("state");
    for (const row of rows) expect(row.slice(column, column + 8)).toBe("StableOK");
    const json = JSON.parse((await cli("slices", "--json")).stdout) as { name: string; whose: string }[];
    expect(json.map((s) => [s.name, s.whose])).toEqual([
      ["by-hand", "no mark"],
      ["demo-dev", "this stack"],
      ["demo-old", "other stack"],
    ]);
  });

  it("renew leaves alone what it does not know the lease of, and takes it from --lease", async () => {
    const unknown = await cli("renew");
    expect([unknown.code, unknown.stdout]).toEqual([1, ""]);
    expect(unknown.stderr).toContain("FAB-LEASE-UNKNOWN");
    const others = await Promise.all(["demo-old", "by-hand"].map(digest));
    const known = await cli("renew", "--now", "--lease", "5d");
    expect(known.code, known.stderr).toBe(0);
    expect(known.stdout).toMatch(/^slice demo-dev · renewed · lease until .*, 4 days left$/m);
    expect(await Promise.all(["demo-old", "by-hand"].map(digest))).toEqual(others);
  });

  it("delete asks nobody who is not there, and says what would go", async () => {
    const run = await cli("slices", "delete", "demo-dev");
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("FAB-DELETE-UNASKED");
    expect(run.stderr).toContain("its 2 nodes and all that is on them would go: aa at AMST, bb at LOSA");
    expect(run.stderr).toContain("it is of this stack, dev");
    expect(await isSliceThere("demo-dev")).toBe(true);
  });

  it("delete leaves a slice without this stack's mark alone, unless --foreign says that it is meant", async () => {
    const before = await Promise.all(["demo-old", "by-hand"].map(digest));
    for (const name of ["demo-old", "by-hand"]) {
      const run = await cli("slices", "delete", name, "--yes");
      expect(run.code).toBe(1);
      expect(run.stderr).toContain("FAB-NOT-OURS");
    }
    expect(await Promise.all(["demo-old", "by-hand"].map(digest))).toEqual(before);
    const meant = await cli("slices", "delete", "by-hand", "--yes", "--foreign");
    expect(meant.code, meant.stderr).toBe(0);
    expect(meant.stderr).toContain("it bears no mark");
    expect((await fabric.api.slice(ids["by-hand"] ?? "", "NONE")).state).toBe("Dead");
    expect(await isSliceThere("demo-old")).toBe(true);
  });

  it("delete --yes ends this stack's slice; what is not there is named", async () => {
    const run = await cli("slices", "delete", "demo-dev", "--yes");
    expect(run.code, run.stderr).toBe(0);
    expect((await fabric.api.slice(ids["demo-dev"] ?? "", "NONE")).state).toBe("Dead");
    const again = await cli("slices", "delete", "demo-dev", "--yes");
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("FAB-SLICE-UNKNOWN");
    expect(again.stderr).toContain("yours are demo-old");
    expect((await cli("slices", "--all")).stdout).toMatch(/^demo-dev .*Dead/m);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FabricApi } from "../../../infra/fabric/api.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { EmulatedFabric, testToken } from "../../support/emulated-fabric.js";
import { TestStack } from "../../support/engine.js";

const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
const theirs = FabricSlice.get("theirs", config.require("id"), { endpoint: config.requireObject("endpoint") });
exports.slice = { name: theirs.name, state: theirs.sliceState, leaseEnd: theirs.leaseEnd, owner: theirs.owner };
exports.hosts = theirs.hosts;
exports.networks = theirs.networks;`;

const spec = parseSliceSpec({
  name: "theirs",
  nodes: { core: { site: "AMST", cores: 2, ram: 8, components: ["GPU_A30"] }, losa: { site: "LOSA" } },
});

let fabric: EmulatedFabric;
let files = "";
let stack: TestStack;
let id = "";

const model = async (): Promise<string> => (await fabric.api.slice(id)).model ?? "";

function configure(slice: string): void {
  const endpoint = {
    kind: "fabric",
    host: fabric.host,
    tokenFile: join(files, "tokens.json"),
    rc: join(files, "rc"),
  };
  stack.config({ "test:id": slice, "test:endpoint": endpoint });
}

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), "fabric-rc-"));
  writeFileSync(join(files, "tokens.json"), JSON.stringify({ id_token: testToken() }));
  writeFileSync(join(files, "rc"), "");
  fabric = await EmulatedFabric.start();
  const mark = { project: "somebody", stack: "theirs", id: "mark-1" };
  const api = new FabricApi({ host: fabric.host, token: () => testToken() });
  id = (await new SliceKeeper({ api, mark, sshKeys: () => ["ssh-ed25519 AAAA test"] }).create(spec)).id;
  stack = new TestStack({ program, project: "reader", stack: "dev" });
}, 120_000);

afterAll(async () => {
  stack?.end();
  await fabric?.stop();
  rmSync(files, { recursive: true, force: true });
});

describe("FabricSlice.get in the real engine", { timeout: 120_000 }, () => {
  it("gives hosts, networks and states of another's slice, and leaves the slice as it is, also at destroy", async () => {
    configure(id);
    const before = await model();
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.outputs.slice).toMatchObject({ name: "theirs", state: "StableOK", owner: "somebody/theirs" });
    const [core, losa] = up.outputs.hosts as Record<string, unknown>[];
    const [amst, los] = up.outputs.networks as Record<string, string>[];
    expect(core).toMatchObject({
      name: "core",
      site: "AMST",
      state: "Active",
      cores: 2,
      ram: 8,
      components: ["GPU_A30"],
    });
    expect(core?.routes).toEqual([{ to: los?.subnet, via: amst?.gateway, site: "LOSA" }]);
    expect([core?.managementIp, core?.mac, core?.address]).toEqual([
      expect.stringMatching(/:/),
      expect.stringMatching(/^02:/),
      expect.stringMatching(/^10\./),
    ]);
    expect(losa).toMatchObject({ name: "losa", site: "LOSA", image: "default_ubuntu_22,qcow2" });
    expect([amst, los]).toMatchObject([
      { type: "FABNetv4", site: "AMST", state: "Active", nodes: ["core"] },
      { site: "LOSA", state: "Active", nodes: ["losa"] },
    ]);
    expect((await stack.preview()).steps.filter((s) => !["same", "read"].includes(s.op))).toEqual([]);
    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect(await model()).toBe(before);
  });

  it("sees that it has ended, and tells an id of no slice without a stack trace", async () => {
    configure(id);
    expect((await stack.up()).code).toBe(0);
    await fabric.api.deleteSlice(id);
    const refreshed = await stack.refresh();
    expect(refreshed.code, refreshed.text).toBe(0);
    expect(refreshed.resources.filter((r) => r.type.endsWith("ExistingSlice"))).toEqual([]);
    const gone = await stack.up();
    expect(gone.code).not.toBe(0);
    expect(gone.text).toContain("FAB-NOT-FOUND");
    expect(gone.text).toContain(id);
    expect(gone.text).not.toMatch(/^\s+at .*\.js/m);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmulatedFabric, quick, testToken } from "../../support/emulated-fabric.js";
import { nameOf, type Preview, TestStack } from "../../support/engine.js";

const program = (extra = "") => `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
${extra}
const slice = new FabricSlice("dev", {
  sliceName: config.get("name") ?? "engine-dev",
  lease: config.get("lease") ?? "2d",
  endpoint: config.requireObject("endpoint"),
  nodes: config.requireObject("nodes"),
  adopt: config.get("adopt"),
  beforeRemove: typeof drain === "undefined" ? undefined : drain,
});
exports.hosts = slice.hosts;
exports.sliceId = slice.sliceId;`;

const nodes = { core: { site: "AMST" }, losa: { site: "LOSA", cores: 2, ram: 8 } };
const worker = { cores: 32, ram: 256, disk: 2000, components: { "SharedNIC-ConnectX-6": 10 } };

let files = "";
let fabric: EmulatedFabric;
const stacks: TestStack[] = [];

function newStack(config: Record<string, unknown> = {}, extra = ""): TestStack {
  const stack = new TestStack({ program: program(extra), project: "engine", stack: "dev" });
  stacks.push(stack);
  configure(stack, config);
  return stack;
}

function configure(stack: TestStack, config: Record<string, unknown>): void {
  const endpoint = {
    kind: "fabric",
    host: fabric.host,
    tokenFile: join(files, "tokens.json"),
    rc: join(files, "fabric_rc"),
  };
  const all = { nodes, endpoint, ...config };
  stack.config(Object.fromEntries(Object.entries(all).map(([k, v]) => [`test:${k}`, v])));
}

/** What a preview would do, `op name` each, the stack itself and what stays left out. */
function plan(preview: Preview): string[] {
  expect(preview.code, preview.text).toBe(0);
  return preview.steps
    .filter((s) => s.op !== "same" && !s.urn.includes("pulumi:pulumi:Stack"))
    .map((s) => `${s.op} ${s.urn.split("::").at(-2)?.split("$").at(-1)?.split(":").at(-1)} ${nameOf(s.urn)}`)
    .sort();
}

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), "fabric-rc-"));
  writeFileSync(
    join(files, "tokens.json"),
    JSON.stringify({ id_token: testToken(), refresh_token: "r", created_at: "now" }),
  );
  writeFileSync(join(files, "key.pub"), "ssh-ed25519 AAAA test\n");
  writeFileSync(join(files, "fabric_rc"), `export FABRIC_SLICE_PUBLIC_KEY_FILE=${join(files, "key.pub")}\n`);
  fabric = await EmulatedFabric.start({
    delays: quick,
    sites: Object.fromEntries(["AMST", "LOSA", "HAWI"].map((s) => [s, { workers: [worker] }])),
    // Another takes the room between the preview and the run.
    sliverFaults: [
      { element: "four", slice: "engine-part", times: 1, fault: { kind: "fail", at: "ticket" } },
    ],
  });
});

afterAll(async () => {
  // What they hold ends with the emulator.
  for (const stack of stacks) stack.end();
  await fabric?.stop();
  rmSync(files, { recursive: true, force: true });
}, 120_000);

describe("FABRIC's resources in the real engine", () => {
  it("are made, shown, changed in place, replaced, refreshed and removed", { timeout: 300_000 }, async () => {
    const stack = newStack();
    const first = await stack.up();
    expect(first.code, first.text).toBe(0);
    const hosts = first.outputs.hosts as { name: string; address: string; routes: unknown[] }[];
    expect(hosts.map((h) => [h.name, h.routes.length])).toEqual([
      ["core", 1],
      ["losa", 1],
    ]);
    expect(plan(await stack.preview())).toEqual([]);

    // A fourth node at a new site: one update, one network, one node, and one message that says what follows.
    configure(stack, { nodes: { ...nodes, four: { site: "HAWI" } } });
    const wider = await stack.preview();
    expect(plan(wider)).toEqual(["create Network dev-hawi", "create Node dev-four", "update Slice dev"]);
    expect(wider.diagnostics.map((d) => d.message).join("\n")).toMatch(
      /\+ four and a network at HAWI; routes on 2 nodes; nothing replaced; lease until \d{4}-\d\d-\d\d/,
    );
    expect((await stack.up()).code).toBe(0);

    // A larger node is another machine: its Node shows as replaced, the slice stays.
    configure(stack, { nodes: { ...nodes, core: { site: "AMST", cores: 8 }, four: { site: "HAWI" } } });
    const larger = await stack.preview();
    expect(plan(larger)).toEqual(["replace Node dev-core", "update Slice dev"]);
    expect(larger.diagnostics.map((d) => d.message).join("\n")).toContain("core (4 to 8 cores)");
    const replaced = await stack.up();
    expect(replaced.code, replaced.text).toBe(0);
    expect(replaced.outputs.sliceId).toBe(first.outputs.sliceId);

    // A refresh sees that nothing changed; when the slice is gone, it says so and up makes it anew.
    const same = await stack.refresh();
    expect(same.code, same.text).toBe(0);
    expect(plan(await stack.preview())).toEqual([]);
    await fabric.api.deleteSlice(String(first.outputs.sliceId));
    const gone = await stack.refresh();
    expect(gone.code, gone.text).toBe(0);
    expect(gone.resources.filter((r) => r.type.includes("dynamic/fabric"))).toEqual([]);
    const again = await stack.up();
    expect(again.code, again.text).toBe(0);
    expect(again.outputs.sliceId).not.toBe(first.outputs.sliceId);

    const end = await stack.destroy();
    expect(end.code, end.text).toBe(0);
    expect((await fabric.api.slices()).filter((s) => s.name === "engine-dev" && s.state !== "Dead")).toEqual(
      [],
    );
  });

  it("tell a mistake at the preview, with code and place, without a stack trace", {
    timeout: 60_000,
  }, async () => {
    const stack = newStack({ nodes: { core: { site: "AMTS" } } });
    const preview = await stack.preview();
    expect(preview.code).not.toBe(0);
    expect(preview.text).toContain("FAB-SITE-UNKNOWN");
    expect(preview.text).toContain("did you mean AMST?");

    // What only FABRIC knows is told there as well; where it does not answer, the preview goes on.
    configure(stack, { nodes: { core: { site: "AMST", cores: 40 } } });
    const full = await stack.preview();
    expect(full.code).not.toBe(0);
    expect(full.text).toContain("nodes.core.cores");
    expect(full.text).toContain("FAB-SITE-FULL  40 asked, AMST has 32 free");
    const endpoint = { kind: "fabric", host: "http://127.0.0.1:9", tokenFile: join(files, "tokens.json") };
    configure(stack, { nodes: { core: { site: "AMST", cores: 40 } }, endpoint });
    const away = await stack.preview();
    expect(away.code, away.text).toBe(0);
    expect(away.text).toContain("warning: FAB-SITES-DATED");
  });

  it("do not touch another's slice of the name; take it over when its id is given", {
    timeout: 200_000,
  }, async () => {
    const theirs = newStack();
    const made = await theirs.up();
    expect(made.code, made.text).toBe(0);
    const ours = newStack();
    const refused = await ours.up();
    expect(refused.code).not.toBe(0);
    expect(refused.text).toContain("FAB-NAME-TAKEN");
    expect(refused.text).toContain(String(made.outputs.sliceId));
    expect(refused.text).not.toMatch(/^\s+at .*\.js/m);
    configure(ours, { adopt: made.outputs.sliceId });
    const taken = await ours.up();
    expect(taken.code, taken.text).toBe(0);
    expect(taken.outputs.sliceId).toBe(made.outputs.sliceId);
    // It is no longer theirs to delete.
    const kept = await theirs.destroy();
    expect(kept.code).not.toBe(0);
    expect(kept.text).toContain("FAB-NOT-OURS");
    expect((await ours.destroy()).code).toBe(0);
    expect((await theirs.destroy()).code).toBe(0);
  });

  it("keep a slice that came up in part, with FABRIC's reason, and complete it", {
    timeout: 200_000,
  }, async () => {
    const name = "engine-part";
    const stack = newStack({ name, nodes: { ...nodes, four: { site: "HAWI", cores: 8 } } });
    const partly = await stack.up();
    expect(partly.code).not.toBe(0);
    expect(partly.text).toContain("four: Insufficient resources");
    const slice = partly.resources.find((r) => r.type.endsWith("fabric:Slice"));
    expect(slice?.id).toMatch(/^[0-9a-f-]{36}$/);
    configure(stack, { name, nodes: { ...nodes, four: { site: "HAWI", cores: 4 } } });
    const whole = await stack.up();
    expect(whole.code, whole.text).toBe(0);
    expect(whole.outputs.sliceId).toBe(slice?.id);
    expect(plan(await stack.preview())).toEqual([]);
  });

  it("call beforeRemove with the nodes that go and the hosts as they were; its refusal stops the change; so does a missing token", {
    timeout: 200_000,
  }, async () => {
    const drain = `
const fs = require("node:fs");
const drain = ({ leaving, hosts }) => {
  fs.appendFileSync("drained.txt", leaving.join() + " " + Object.keys(hosts).join() + "\\n");
  if (fs.existsSync("refuse")) throw new Error("losa cannot be drained");
};`;
    const stack = newStack({}, drain);
    expect((await stack.up()).code).toBe(0);
    writeFileSync(join(stack.folder, "refuse"), "");
    configure(stack, { nodes: { core: nodes.core } });
    const refused = await stack.up();
    expect(refused.code).not.toBe(0);
    expect(refused.text).toContain("losa cannot be drained");
    expect(
      (await fabric.api.slices()).find((s) => s.name === "engine-dev" && s.state !== "Dead")?.state,
    ).toBe("StableOK");
    rmSync(join(stack.folder, "refuse"));
    const done = await stack.up();
    expect(done.code, done.text).toBe(0);
    expect((done.outputs.hosts as unknown[]).length).toBe(1);

    // Without a token nothing is changed and nothing is forgotten.
    const rc = join(files, "fabric_rc");
    configure(stack, {
      endpoint: { kind: "fabric", host: fabric.host, tokenFile: join(files, "none.json"), rc },
      lease: "3d",
    });
    const noToken = await stack.up();
    expect(noToken.code).not.toBe(0);
    expect(noToken.text).toContain("FAB-TOKEN-MISSING");
    expect(noToken.resources.some((r) => r.type.endsWith("fabric:Slice"))).toBe(true);
    configure(stack, { nodes: { core: nodes.core } });
    expect(plan(await stack.preview())).toEqual([]);
    expect((await stack.destroy()).code).toBe(0);
  });
});

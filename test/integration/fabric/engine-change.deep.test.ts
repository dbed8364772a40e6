import { execFile } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmulatedFabric, quick, testToken } from "../../support/emulated-fabric.js";
import { nameOf, type Preview, TestStack } from "../../support/engine.js";

const repository = resolve(__dirname, "../../..");
const day = 86_400_000;

/** Each node has a dependent of its own: what a user would put on it. */
const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
const slice = new FabricSlice("dev", {
  sliceName: config.require("name"),
  lease: config.get("lease") ?? "2d",
  renewWithin: config.get("renewWithin"),
  endpoint: config.requireObject("endpoint"),
  nodes: config.requireObject("nodes"),
});
const service = {
  create: async (props) => ({ id: "service", outs: props }),
  diff: async (_id, olds, news) => ({ changes: olds.at !== news.at }),
  update: async (_id, _olds, news) => ({ outs: news }),
};
class Service extends pulumi.dynamic.Resource {}
for (const [name, node] of Object.entries(slice.nodes))
  new Service(service, "on-" + name, { at: node.managementIp }, { parent: node });
exports.sliceId = slice.sliceId;
exports.leaseEnd = slice.leaseEnd;`;

const two = { core: { site: "AMST" }, mover: { site: "AMST" }, losa: { site: "LOSA" } };
const worker = { cores: 32, ram: 256, disk: 2000, components: { "SharedNIC-ConnectX-6": 10 } };

/** The way to the emulator, which can be shut: what goes through is cut off. */
class Door {
  readonly #server: Server;
  readonly #through = new Set<Socket>();
  #isOpen = true;

  private constructor(port: number) {
    this.#server = createServer((from) => {
      if (!this.#isOpen) return void from.destroy();
      const to = connect(port, "127.0.0.1");
      for (const [a, b] of [[from, to] as const, [to, from] as const]) {
        this.#through.add(a);
        a.on("error", () => b.destroy()).on("close", () => this.#through.delete(a) && b.destroy());
        a.pipe(b);
      }
    });
  }

  static async to(port: number): Promise<Door> {
    const door = new Door(port);
    await new Promise<void>((done) => door.#server.listen(0, "127.0.0.1", done));
    return door;
  }

  get host(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  open(): void {
    this.#isOpen = true;
  }

  shut(): void {
    this.#isOpen = false;
    for (const socket of this.#through) socket.destroy();
  }

  async end(): Promise<void> {
    this.shut();
    await new Promise((done) => this.#server.close(done));
  }
}

let files = "";
let fabric: EmulatedFabric;
let door: Door;
const stacks: TestStack[] = [];

function newStack(config: Record<string, unknown>, env: Record<string, string> = {}): TestStack {
  const stack = new TestStack({ program, project: "engine", stack: "dev", env });
  stacks.push(stack);
  configure(stack, config);
  return stack;
}

function configure(stack: TestStack, config: Record<string, unknown>): void {
  const rc = join(files, "fabric_rc");
  const endpoint = { kind: "fabric", host: door.host, tokenFile: join(files, "tokens.json"), rc };
  const all = { nodes: two, endpoint, ...config };
  stack.config(Object.fromEntries(Object.entries(all).map(([k, v]) => [`test:${k}`, v])));
}

/** Everything a preview would do, `op type name` each, what stays included; without the stack itself. */
function wholePlan(preview: Preview): string[] {
  expect(preview.code, preview.text).toBe(0);
  return preview.steps
    .filter((s) => !s.urn.includes("pulumi:pulumi:Stack"))
    .map((s) => `${s.op} ${s.urn.split("::").at(-2)?.split("$").at(-1)?.split(":").at(-1)} ${nameOf(s.urn)}`)
    .sort();
}

const messages = (preview: Preview): string => preview.diagnostics.map((d) => d.message.trim()).join("\n");

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
  });
  door = await Door.to(Number(new URL(fabric.host).port));
});

afterAll(async () => {
  for (const stack of stacks) stack.end();
  await door?.end();
  await fabric?.stop();
  rmSync(files, { recursive: true, force: true });
}, 120_000);

describe("a node that moves between two sites in use", () => {
  it("is replaced with what is on it; the Slice says so; every other resource is the same by name", {
    timeout: 200_000,
  }, async () => {
    const stack = newStack({ name: "mover" });
    const first = await stack.up();
    expect(first.code, first.text).toBe(0);
    configure(stack, { name: "mover", nodes: { ...two, mover: { site: "LOSA" } } });
    const preview = await stack.preview(["--show-sames"]);
    expect(wholePlan(preview)).toEqual([
      "replace Node dev-mover",
      "same FabricSlice dev",
      "same Network dev-amst",
      "same Network dev-losa",
      "same Node dev-core",
      "same Node dev-losa",
      "same Resource on-core",
      "same Resource on-losa",
      "update Resource on-mover",
      "update Slice dev",
    ]);
    expect(messages(preview)).toMatch(
      /^replaced, losing what is on them: mover \(AMST to LOSA\); lease until \d{4}-\d\d-\d\d$/m,
    );
    const before = await nodesOf(first.outputs.sliceId);
    const moved = await stack.up();
    expect(moved.code, moved.text).toBe(0);
    const after = await nodesOf(moved.outputs.sliceId);
    expect([after.core, after.losa]).toEqual([before.core, before.losa]);
    expect(after.mover).not.toBe(before.mover);
    expect(wholePlan(await stack.preview()).filter((line) => !line.startsWith("same"))).toEqual([]);

    // FABRIC out of reach: a refresh fails and forgets nothing.
    door.shut();
    const refused = await stack.refresh();
    door.open();
    expect(refused.code).not.toBe(0);
    expect(refused.text).toContain("FAB-UNREACHABLE");
    expect(refused.resources.map((r) => r.urn)).toEqual(moved.resources.map((r) => r.urn));
    expect(wholePlan(await stack.preview()).filter((line) => !line.startsWith("same"))).toEqual([]);
  });
});

/** The NodeIDs by name. */
async function nodesOf(id: unknown): Promise<Record<string, string>> {
  const slivers = await fabric.api.slivers(String(id));
  return Object.fromEntries(
    slivers
      .filter((s) => s.type === "NodeSliver" && s.state === "Active")
      .map((s) => [s.name ?? "", s.sliverId]),
  );
}

describe("a slice that has ended behind our back", () => {
  it("is found gone by an up that changes it, and made anew by the next", { timeout: 120_000 }, async () => {
    const stack = newStack({ name: "ended", nodes: two });
    const first = await stack.up();
    expect(first.code, first.text).toBe(0);
    await fabric.api.deleteSlice(String(first.outputs.sliceId));
    configure(stack, { name: "ended", nodes: { ...two, hawi: { site: "HAWI" } } });
    const found = await stack.up();
    expect(found.code).not.toBe(0);
    expect(found.text).toContain("FAB-GONE");
    expect(wholePlan(await stack.preview())).toContain("replace Slice dev");
    const anew = await stack.up();
    expect(anew.code, anew.text).toBe(0);
    expect(anew.outputs.sliceId).not.toBe(first.outputs.sliceId);
    expect((await fabric.api.slice(String(anew.outputs.sliceId), "NONE")).state).toBe("StableOK");
    expect(wholePlan(await stack.preview()).filter((line) => !line.startsWith("same "))).toEqual([]);
  });
});

describe("a lease", () => {
  it("is renewed by an up when its end is near, told at preview, and not again; the commands say and do the same", {
    timeout: 300_000,
  }, async () => {
    const lease = { name: "leased", lease: "3d", renewWithin: "2d" };
    const stack = newStack(lease);
    const first = await stack.up();
    expect(first.code, first.text).toBe(0);
    const end = endOf(first.outputs.leaseEnd);
    // A preview that changes nothing says until when.
    const quiet = await stack.preview();
    expect(wholePlan(quiet).filter((line) => !line.startsWith("same"))).toEqual([]);
    expect(messages(quiet)).toMatch(/lease until \d{4}-\d\d-\d\d \d\d:\d\d UTC, 2 days left/);

    // Nothing to renew yet.
    const idle = await cli(stack, ["renew"]);
    expect([idle.code, idle.stdout]).toEqual([0, expect.stringContaining("nothing to do")]);
    expect(await leaseOf(first.outputs.sliceId)).toBe(end);

    // Forty hours later, in processes whose clocks say so.
    const later = { NODE_OPTIONS: `--require ${join(repository, "test/support/shifted-clock.cjs")}` };
    const shifted = (ms: number) => ({ ...later, TEST_CLOCK_SHIFT_MS: String(ms) });
    const status = await cli(stack, ["status"], shifted(1.7 * day));
    expect(status.stdout).toMatch(/warning: the lease of slice leased ends in 31 hours/);
    stack.environment(shifted(1.7 * day));
    const due = await stack.preview();
    expect(wholePlan(due).filter((line) => !line.startsWith("same"))).toEqual(["update Slice dev"]);
    expect(messages(due)).toMatch(/^lease renewed until \d{4}-\d\d-\d\d$/m);
    expect(await leaseOf(first.outputs.sliceId)).toBe(end);
    const renewed = await stack.up();
    expect(renewed.code, renewed.text).toBe(0);
    const longer = await leaseOf(first.outputs.sliceId);
    expect(longer - end).toBeGreaterThan(1.6 * day);
    expect(endOf(renewed.outputs.leaseEnd)).toBe(longer);
    const again = await stack.preview();
    expect(wholePlan(again).filter((line) => !line.startsWith("same"))).toEqual([]);

    // The same by the command: two days on it renews, a second time it has nothing to do, and status knows of it.
    const much = shifted(3.5 * day);
    const byCommand = await cli(stack, ["renew", "--json"], much);
    expect(byCommand.code, byCommand.stderr).toBe(0);
    const [result] = JSON.parse(byCommand.stdout) as { name: string; renewed: boolean; leaseEnd: string }[];
    expect(result).toMatchObject({ name: "leased", renewed: true });
    expect(await leaseOf(first.outputs.sliceId)).toBe(Date.parse(result?.leaseEnd ?? ""));
    expect((await cli(stack, ["renew"], much)).stdout).toMatch(
      /^slice leased · nothing to do · lease until .* UTC, 2 days left$/m,
    );
    expect((await cli(stack, ["status"], much)).stdout).not.toContain("warning");

    // Without an answer it is an error with a code, on stderr.
    configure(stack, lease);
    const token = join(files, "tokens.json");
    const gone = `${token}.away`;
    renameSync(token, gone);
    const refused = await cli(stack, ["renew"], much);
    renameSync(gone, token);
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain("FAB-TOKEN-MISSING");
    expect(refused.stderr).not.toMatch(/^\s+at /m);
  });

  it("is not lost with the engine's state: the mark in the state folder names the slice", {
    timeout: 60_000,
  }, async () => {
    const stack = stacks.at(-1);
    if (stack === undefined) throw new Error("the test above made none");
    rmSync(join(stack.state, "backend"), { recursive: true });
    // A program of one's own has no configuration object that says how long.
    const unknown = await cli(stack, ["renew"]);
    expect([unknown.code, unknown.stdout]).toEqual([1, ""]);
    expect(unknown.stderr).toContain("FAB-LEASE-UNKNOWN");
    const known = await cli(stack, ["renew", "--lease", "12d", "--now"]);
    expect(known.code, known.stderr).toBe(0);
    expect(known.stdout).toMatch(/^slice leased · renewed · lease until .*, 11 days left$/m);
  });
});

function endOf(text: unknown): number {
  return Date.parse(String(text).replace(" ", "T").replace(" +0000", "Z"));
}

async function leaseOf(id: unknown): Promise<number> {
  return endOf((await fabric.api.slice(String(id), "NONE")).leaseEnd);
}

async function cli(
  stack: TestStack,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = [join(repository, "dist/dynamos/cli/main.js"), "-C", stack.folder, "-s", "dev", ...args];
  try {
    const done = await promisify(execFile)(process.execPath, command, { env: { ...process.env, ...env } });
    return { code: 0, ...done };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

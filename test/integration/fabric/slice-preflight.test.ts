// What a FabricSlice in one's own program is told at the preview, by the provider's own check, with FABRIC emulated.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { SliceInputs } from "../../../infra/fabric/slice-inputs.js";
import { slicePreflight } from "../../../infra/fabric/slice-preflight.js";
import { provider } from "../../../infra/fabric/slice-provider.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { EmulatedFabric, testToken } from "../../support/emulated-fabric.js";
import { keeper, mark } from "../../support/kept-slice.js";

const worker = { cores: 16, ram: 128, disk: 500, components: { "SharedNIC-ConnectX-6": 10 } };
const site = { workers: [worker] };
const tags = ["VM.NoLimit", "Slice.Multisite", "Slice.NoLimitLifetime"];

let folder: string;
let fabric: EmulatedFabric;
const others: EmulatedFabric[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "slice preflight-"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: p\nruntime: nodejs\n");
  fabric = await EmulatedFabric.start({
    sites: { AMST: site, LOSA: site, TOKY: { ...site, maintenance: true } },
  });
});
afterEach(async () => {
  for (const slice of await fabric.api.slices()) {
    await keeper(fabric).delete(slice.sliceId);
  }
  rmSync(join(folder, ".state"), { recursive: true, force: true });
});
afterAll(async () => {
  for (const one of [fabric, ...others]) await one.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The emulator's own: a slice is seen from its project only. */
const project = "00000000-0000-4000-8000-000000000002";

interface Said {
  readonly host?: string;
  readonly rights?: readonly string[];
  readonly lease?: string;
}
let files = 0;
/** A Slice's inputs as the program gives them, with a token of a project that has these rights. */
function wanted(
  nodes: Record<string, object>,
  { host = fabric.host, rights = tags, ...more }: Said = {},
): SliceInputs {
  const tokenFile = join(folder, `tokens-${files++}.json`);
  const token = testToken({ projects: [{ uuid: project, name: "emulated", tags: rights }] });
  writeFileSync(tokenFile, JSON.stringify({ id_token: token, refresh_token: "r", created_at: "now" }));
  return {
    ...parseSliceSpec({ name: "theirs", lease: "2d", nodes, ...more }),
    ...more,
    endpoint: { kind: "fabric", host, tokenFile },
    owner: { project: mark.project, stack: mark.stack },
    state: ".state/dev",
  };
}

const told = async (inputs: SliceInputs, before?: SliceInputs) => {
  const { problems, notes } = await slicePreflight(inputs, before, folder);
  return { problems: problems.map((p) => `${p.path} ${p.code}`), notes: notes.map((n) => n.code) };
};

/** Makes it, as `up` does, with the mark in the stack's state folder. */
async function make(inputs: SliceInputs): Promise<void> {
  mkdirSync(join(folder, ".state/dev/slices"), { recursive: true });
  writeFileSync(join(folder, ".state/dev/slices", `${inputs.name}.json`), JSON.stringify(mark));
  expect((await keeper(fabric).create(inputs)).failures).toEqual([]);
}

describe("the preview of a FabricSlice in one's own program", () => {
  it("names each node without room, where there is some, at the property that is too large", async () => {
    const inputs = wanted({ core: { site: "AMST", cores: 32, ram: 64 }, far: { site: "TOKY" } });
    const failures = await failuresOf(inputs);
    expect(failures).toEqual([
      "nodes.core.cores: FAB-SITE-FULL  32 asked, AMST has 16 free; no site has that much; ask for less",
      "nodes.far.site: FAB-SITE-MAINTENANCE  TOKY is in maintenance; room at AMST, LOSA",
    ]);
  });

  it("names the site that was meant by a misspelt name, and asks nobody for that", async () => {
    const before = fabric.calls.length;
    const inputs = { ...wanted({ core: { site: "AMST" } }), nodes: { core: { site: "AMTS" } } };
    const failures = await failuresOf(inputs as never);
    expect(failures).toEqual([
      expect.stringMatching(/^nodes\.core\.site: FAB-SITE-UNKNOWN .*did you mean AMST\?/),
    ]);
    expect(fabric.calls.length).toBe(before);
  });

  it("names the rights that the token's project lacks, and a lease that FABRIC would cut", async () => {
    const nodes = { core: { site: "AMST", cores: 4 }, far: { site: "LOSA", cores: 2, ram: 8, disk: 10 } };
    expect(await told(wanted(nodes, { rights: ["VM.NoLimitDisk", "VM.NoLimitRAM"], lease: "20d" }))).toEqual({
      problems: [
        "lease FAB-LEASE-TOO-LONG",
        "nodes.core.cores FAB-PERMISSION",
        "nodes.far.site FAB-PERMISSION",
      ],
      notes: [],
    });
    // The lease alone: the token says it, and nobody is called.
    const before = wanted(nodes);
    const calls = fabric.calls.length;
    expect((await told(wanted(nodes, { rights: [], lease: "20d" }), before)).problems).toEqual([
      "lease FAB-LEASE-TOO-LONG",
    ]);
    expect(fabric.calls.length).toBe(calls);
  });

  it("counts as free what the slice itself holds, after a change and after a run that was killed", async () => {
    const large = wanted({ core: { site: "AMST", cores: 12, ram: 64 } });
    await make(large);
    const larger = wanted({ core: { site: "AMST", cores: 16, ram: 64 } });
    expect(await told(larger, large)).toEqual({ problems: [], notes: [] });
    // The engine's state never heard of it, the mark did.
    expect(await told(large)).toEqual({ problems: [], notes: [] });
    // It is not free twice: the node that stays keeps what it has.
    const two = { ...large.nodes, second: { site: "AMST", cores: 8, ram: 8, disk: 10 } };
    expect((await told(wanted(two), large)).problems).toEqual(["nodes.second.cores FAB-SITE-FULL"]);
    // Another's of the same name is not ours to count.
    const foreign = { ...larger, owner: { project: mark.project, stack: "other" } };
    expect((await told(foreign)).problems).toEqual(["nodes.core.cores FAB-SITE-FULL"]);
  });

  it("makes no call where nothing changes, where nodes only go, and where a slice is taken over", async () => {
    const large = wanted({ core: { site: "AMST", cores: 12 }, far: { site: "LOSA" } });
    const calls = fabric.calls.length;
    expect(await provider.check?.(large as never, large)).toMatchObject({ failures: [] });
    expect(await told({ ...large, renewWithin: "12h" }, large)).toEqual({ problems: [], notes: [] });
    expect(await told(wanted({ far: { site: "LOSA" } }), large)).toEqual({ problems: [], notes: [] });
    expect(await told({ ...large, adopt: "some-id" })).toEqual({ problems: [], notes: [] });
    expect(fabric.calls.length).toBe(calls);
    // and one where there was none: the counter counts
    expect((await told(large)).problems).toEqual([]);
    expect(fabric.calls.slice(calls)).toEqual(["GET /portalresources/summary"]);
  });

  it("leaves a node alone whose site went into maintenance after it was made", async () => {
    const before = wanted({ far: { site: "TOKY" } });
    const after = wanted({ far: { site: "TOKY" }, core: { site: "AMST" } });
    expect(await told(after, before)).toEqual({ problems: [], notes: [] });
    expect((await told(after)).problems).toEqual(["nodes.far.site FAB-SITE-MAINTENANCE"]);
  });

  it("goes on with a warning when FABRIC cannot be reached, is of no use, or says nothing for 3 s", {
    timeout: 30_000,
  }, async () => {
    const huge = { core: { site: "AMST", cores: 32 } };
    const port = await freePort();
    const away = wanted(huge, { host: `http://127.0.0.1:${port}` });
    expect(await told(away)).toEqual({ problems: [], notes: ["FAB-SITES-DATED"] });
    expect(await warningsOf(() => provider.check?.({} as never, away))).toMatch(/^warning: FAB-SITES-DATED /);

    const silent = await started([{ calls: ["resources", "slices"], fault: { kind: "hang", ms: 20_000 } }]);
    const from = performance.now();
    await make(wanted({ core: { site: "AMST", cores: 2 } }));
    expect(await told(wanted(huge, { host: silent.host }))).toEqual({
      problems: [],
      notes: ["FAB-SITES-DATED"],
    });
    expect(performance.now() - from).toBeLessThan(6_000);
  });

  it("says nothing of room when what the slice holds is not told, however often that is tried within 3 s", {
    timeout: 30_000,
  }, async () => {
    await make(wanted({ core: { site: "AMST", cores: 2 } }));
    for (const fault of [{ kind: "hang", ms: 1_000 } as const, { kind: "proxy", status: 502 } as const]) {
      const half = await started([{ calls: ["slices"], fault }]);
      const from = performance.now();
      expect(await told(wanted({ core: { site: "AMST", cores: 32 } }, { host: half.host }))).toEqual({
        problems: [],
        notes: ["FAB-OWN-SHARE"],
      });
      expect(performance.now() - from).toBeLessThan(4_000);
    }
  });

  it("says nothing of an emulator that does not run", async () => {
    const inputs = wanted({ core: { site: "AMST", cores: 32 } });
    const endpoint = { kind: "local", state: ".state/dev", service: "emulator" } as const;
    expect(await told({ ...inputs, endpoint })).toEqual({ problems: [], notes: [] });
  });
});

async function started(faults: NonNullable<Parameters<typeof EmulatedFabric.start>[0]>["faults"] & object) {
  const one = await EmulatedFabric.start({ sites: { AMST: site }, faults });
  others.push(one);
  return one;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function failuresOf(inputs: SliceInputs): Promise<string[]> {
  const checked = await provider.check?.({} as never, inputs);
  return (checked?.failures ?? []).map((f) => `${f.property}: ${f.reason}`);
}

/** What is written to stderr meanwhile. */
async function warningsOf(work: () => unknown): Promise<string> {
  const real = process.stderr.write;
  let text = "";
  process.stderr.write = ((chunk: unknown) => {
    text += String(chunk);
    return true;
  }) as typeof process.stderr.write;
  try {
    await work();
  } finally {
    process.stderr.write = real;
  }
  return text;
}

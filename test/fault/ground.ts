/** What many schedules share: a project that is ready, a testbed on which others have slices already, and the gate before it. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FabricApi } from "../../infra/fabric/api.js";
import { elementIds } from "../../infra/fabric/element-ids.js";
import { parseScenario, type ScenarioInput } from "../../infra/fabric/emulator/scenario.js";
import { buildEmulator } from "../../infra/fabric/emulator/server.js";
import { openStore } from "../../infra/fabric/emulator/store.js";
import { writeGraphml } from "../../infra/fabric/graphml.js";
import { fabricTime } from "../../infra/fabric/lease.js";
import { parseSliceSpec } from "../../infra/fabric/spec.js";
import { planTopology } from "../../infra/fabric/topology.js";
import { toGraph } from "../../infra/fabric/topology-graph.js";
import { testToken } from "../support/emulated-fabric.js";
import { TestStack } from "../support/engine.js";
import { until } from "../support/servers.js";
import { Gate } from "./gate.js";
import type { Ours } from "./invariants.js";
import { sites } from "./schedule.js";

const worker = { cores: 64, ram: 512, disk: 4000, components: { "SharedNIC-ConnectX-6": 60, "GPU-A30": 8 } };

/** The emulated testbed, but for how long its steps take. */
export const testbed = { sites: Object.fromEntries(sites.map((s) => [s, { workers: [worker, worker] }])) };

const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
const slice = new FabricSlice("dev", {
  sliceName: config.require("name"),
  lease: config.require("lease"),
  endpoint: config.requireObject("endpoint"),
  nodes: config.requireObject("nodes"),
});
exports.sliceId = slice.sliceId;`;

const ourOwner = "00000000-0000-4000-8000-00000000000a";
const anotherOwner = "00000000-0000-4000-8000-00000000000b";

/** Our slices on the testbed. */
export const ours: Ours = { name: "fault-dev", owner: ourOwner };

export class Ground {
  readonly folder: string;
  readonly gate: Gate;
  /** The emulator's file when only others have slices. */
  readonly others: string;
  readonly #prepared: string;

  private constructor(gate: Gate, others: string, prepared: string, folder: string) {
    this.gate = gate;
    this.others = others;
    this.#prepared = prepared;
    this.folder = folder;
  }

  static async prepare(): Promise<Ground> {
    const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric faults "));
    mkdirSync(join(folder, "fabric"));
    writeFileSync(
      join(folder, "fabric", "tokens.json"),
      JSON.stringify({ id_token: tokenOf(ourOwner), refresh_token: "r", created_at: "now" }),
    );
    writeFileSync(join(folder, "fabric", "key.pub"), "ssh-ed25519 AAAA test\n");
    writeFileSync(
      join(folder, "fabric", "fabric_rc"),
      `export FABRIC_SLICE_PUBLIC_KEY_FILE="${join(folder, "fabric", "key.pub")}"\n`,
    );
    const first = newStack();
    try {
      await first.engine();
      cpSync(first.state, join(folder, "state"), { recursive: true });
    } finally {
      first.end();
    }
    return new Ground(
      await Gate.start(),
      await madeByOthers(join(folder, "others.json")),
      join(folder, "state"),
      folder,
    );
  }

  /** A stack of its own, with nothing in it. */
  stack(): TestStack {
    const stack = newStack();
    cpSync(this.#prepared, stack.state, { recursive: true });
    return stack;
  }

  /** Writes what is wanted into the stack's configuration. */
  configure(stack: TestStack, wish: { readonly nodes: object; readonly lease: string }): void {
    const files = join(this.folder, "fabric");
    const endpoint = {
      kind: "fabric",
      host: this.gate.host,
      tokenFile: join(files, "tokens.json"),
      rc: join(files, "fabric_rc"),
    };
    stack.config({
      "test:name": ours.name,
      "test:lease": wish.lease,
      "test:nodes": wish.nodes,
      "test:endpoint": endpoint,
    });
  }

  async end(): Promise<void> {
    await this.gate.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function apiOf(host: string, owner = ourOwner): FabricApi {
  return new FabricApi({ host, token: () => tokenOf(owner) });
}

const tokenOf = (owner: string): string => testToken({ uuid: owner, email: `${owner}@example.org` });

function newStack(): TestStack {
  return new TestStack({ program, project: "fault", stack: "dev" });
}

/**
 * Slices that stand by and must not be touched: another stack's with the names of our nodes, one without a mark, and another user's of our slice's own
 * name. The text of the emulator's file with these.
 */
async function madeByOthers(file: string): Promise<string> {
  if (existsSync(file)) rmSync(file);
  const delays = { nascent: 1, configure: 1, modify: 1, renew: 1, close: 1, poa: 1 };
  const scenario: ScenarioInput = { ...testbed, delays };
  const app = buildEmulator({ scenario: parseScenario(scenario), store: await openStore(file) });
  await app.listen({ port: 0, host: "127.0.0.1" });
  try {
    const host = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    const spec = parseSliceSpec({
      name: "theirs",
      nodes: { core: { site: "AMST" }, losa: { site: "LOSA" }, one: { site: "HAWI" } },
    });
    const slices: readonly (readonly [owner: string, name: string, stack: string, marked: boolean])[] = [
      [ourOwner, "theirs-dev", "another", true],
      [ourOwner, "theirs-plain", "nobody", false],
      [anotherOwner, ours.name, "dev", true],
    ];
    for (const [owner, name, stack, marked] of slices) {
      const mark = { project: "fault", stack, id: `mark of ${name} of ${owner}` };
      const graph = toGraph(planTopology({ ...spec, name }), mark, elementIds(mark.id));
      const bare = graph.nodes.map(({ props: { UserData, ...props }, ...n }) => ({ ...n, props }));
      const api = apiOf(host, owner);
      const leaseEnd = fabricTime(new Date(Date.now() + 10 * 24 * 3_600_000));
      const sent = {
        name,
        graph: writeGraphml(marked ? graph : { ...graph, nodes: bare }),
        sshKeys: ["ssh-ed25519 AAAA x"],
        leaseEnd,
      };
      await api.createSlice(sent);
      await until(`${name} up`, async () =>
        (await api.slices({ name })).every((s) => s.state === "StableOK"),
      );
    }
    return readFileSync(file, "utf8");
  } finally {
    await app.close();
  }
}

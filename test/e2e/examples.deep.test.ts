// What other people do with this package: programs that import it installed from its tarball, and a notebook that drives it.
import { execFile } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { prepareEngine, pulumi } from "../../infra/toolchain/engine.js";
import { execute } from "../../infra/toolchain/execute.js";
import { EmulatedFabric, testToken } from "../support/emulated-fabric.js";
import { STACK, TestMarket } from "./market.js";

const run = promisify(execFile);
const repository = resolve(__dirname, "../..");

interface Package {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
}

describe("the packed package in another project", { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric examples "));
  const project = join(folder, "two-sites");
  const installed = join(project, "node_modules", "dynamos-fabric");
  let pack: Package;

  beforeAll(async () => {
    cpSync(join(repository, "examples", "two-sites"), project, {
      recursive: true,
      filter: (path) => !path.includes("node_modules") && !path.endsWith(".tgz") && !path.includes(".state"),
    });
    const npm = ["pack", "--ignore-scripts", "--silent", "--pack-destination", project];
    const tarball = (await run("npm", npm, { cwd: repository })).stdout.trim();
    const wanted = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Package;
    expect(wanted.dependencies["dynamos-fabric"]).toBe(`file:./${tarball}`);
    // What `npm install` does, without a registry: the tarball unpacked, and what it declares (nothing else) beside it.
    mkdirSync(installed, { recursive: true });
    await run("tar", ["-xzf", join(project, tarball), "--strip-components=1", "-C", installed]);
    pack = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as Package;
    for (const name of Object.keys({
      ...pack.dependencies,
      ...pack.peerDependencies,
      ...wanted.dependencies,
    })) {
      const link = join(project, "node_modules", name);
      if (existsSync(link)) continue;
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(repository, "node_modules", name), link);
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("asks for nothing that it does not declare", () => {
    // Its own name is in the program that `dynamos-fabric new` writes.
    const declared = new Set([
      "dynamos-fabric",
      ...Object.keys(pack.dependencies),
      ...Object.keys(pack.peerDependencies),
    ]);
    const ours = files(join(installed, "dist"), ".js");
    expect(ours.length).toBeGreaterThan(100);
    const strange = ours.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\b(?:require|import)\("([^".][^"]*)"\)/g)]
        .map(([, name = ""]) => name)
        .filter((name) => !isBuiltin(name) && !declared.has(packageOf(name)))
        .map((name) => `${file.slice(installed.length + 1)}: ${name}`),
    );
    expect(strange).toEqual([]);
  });

  it("gives the same names to require and to import, deploys nothing and reads no environment", async () => {
    for (const entry of ["infra", "dynamos", "microservice"]) {
      const required = await names(
        project,
        `${entry}.cjs`,
        `const found = require("dynamos-fabric/${entry}");`,
      );
      const imported = await names(
        project,
        `${entry}.mjs`,
        `import * as found from "dynamos-fabric/${entry}";`,
      );
      expect(required.names.length).toBeGreaterThan(0);
      const added = ["__esModule", "default", "module.exports"]; // by Node, to what it imports from CommonJS
      expect(imported.names.filter((n) => !added.includes(n))).toEqual(required.names);
      expect([...required.read, ...imported.read]).toEqual([]);
    }
  });

  it.each([
    ["node16", ts.ModuleKind.Node16, ts.ModuleResolutionKind.Node16],
    ["nodenext", ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
    ["bundler", ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ])("has types for %s", (name, module, moduleResolution) => {
    const consumer = [
      'import { FabricSlice, type FabricHost } from "dynamos-fabric/infra";',
      'import * as dynamos from "dynamos-fabric/dynamos";',
      'import * as microservice from "dynamos-fabric/microservice";',
      'const slice = new FabricSlice("two", { nodes: { ams: { site: "AMST", cores: 2 } } });',
      "export const names = slice.hosts.apply((hosts: FabricHost[]) => hosts.map((h) => h.name.length));",
      'export const theirs = FabricSlice.get("theirs", "6f0b2f0e").hosts.apply((hosts) => hosts[0]?.state.length);',
      "export const rest = [dynamos, microservice];",
      "// @ts-expect-error a site is a text: were the types not found, this would pass",
      'new FabricSlice("wrong", { nodes: { ams: { site: 5 } } });',
      "",
    ].join("\n");
    const kinds = moduleResolution === ts.ModuleResolutionKind.Bundler ? ["ts"] : ["cts", "mts"];
    const sources = kinds.map((kind) => join(project, `consumer-${name}.${kind}`));
    for (const file of sources) writeFileSync(file, consumer);
    const program = ts.createProgram(sources, {
      module,
      moduleResolution,
      target: ts.ScriptTarget.ES2022,
      strict: true,
      noEmit: true,
      types: [],
    });
    // Our own declarations are looked at too, so that a type which cannot be resolved does not become `any` unseen.
    const own = program
      .getSourceFiles()
      .filter((f) => f.fileName.startsWith(project) && !f.fileName.includes("/@pulumi/"));
    expect(own.length).toBeGreaterThan(sources.length);
    const problems = own.flatMap((f) => [
      ...program.getSyntacticDiagnostics(f),
      ...program.getSemanticDiagnostics(f),
    ]);
    expect(ts.formatDiagnostics(problems, formatHost)).toBe("");
  });

  it("makes a slice over two sites in three lines, from CommonJS and from ESM", async () => {
    const fabric = await EmulatedFabric.start();
    try {
      const home = join(folder, "home");
      const config = join(home, "work", "fabric_config");
      mkdirSync(config, { recursive: true });
      writeFileSync(join(config, "token.json"), JSON.stringify({ id_token: testToken() }));
      writeFileSync(join(config, "slice_key.pub"), "ssh-ed25519 AAAA test\n");
      writeFileSync(
        join(config, "fabric_rc"),
        `export FABRIC_ORCHESTRATOR_HOST=${fabric.host}\nexport FABRIC_TOKEN_LOCATION=${join(config, "token.json")}\n`,
      );
      const env = { ...process.env, HOME: home, DYNAMOS_FABRIC_CACHE: cacheFolder() };
      const upAndDown = async (kind: string): Promise<void> => {
        const engine = await prepareEngine({ project: join(project, kind), stack: "dev", env });
        const up = await pulumi(engine, ["up", "--yes", "--skip-preview"]);
        expect(up.code, `${up.stdout}\n${up.stderr}`).toBe(0);
        const hosts = JSON.parse((await pulumi(engine, ["stack", "output", "hosts", "--json"])).stdout);
        expect(hosts).toMatchObject([
          { name: "ams", site: "AMST", routes: [{ site: "LOSA" }] },
          { name: "losa", site: "LOSA", routes: [{ site: "AMST" }] },
        ]);
        const down = await pulumi(engine, ["destroy", "--yes", "--skip-preview"]);
        expect(down.code, `${down.stdout}\n${down.stderr}`).toBe(0);
      };
      await Promise.all(["commonjs", "esm"].map(upAndDown));
      expect((await fabric.api.slices()).map((s) => [s.name, s.state]).sort()).toEqual([
        ["two-sites-commonjs-dev", "Dead"],
        ["two-sites-esm-dev", "Dead"],
      ]);
    } finally {
      await fabric.stop();
    }
  });
});

describe("the notebook", { timeout: 240_000 }, () => {
  let market: TestMarket;
  let out = "";
  beforeAll(() => {
    market = new TestMarket();
    out = mkdtempSync(join(tmpdir(), "dynamos-fabric notebook "));
  });
  afterAll(async () => {
    await market.end();
    rmSync(out, { recursive: true, force: true });
  }, 120_000);

  it("brings the stack up, runs the experiment, shows a table and plots, and takes the stack down", async () => {
    const env = {
      ...process.env,
      DYNAMOS_FABRIC: `"${process.execPath}" "${join(repository, "dist/dynamos/cli/main.js")}"`,
      PROJECT: market.engine.folder,
      STACK,
      RUNS: "1",
      ROUNDS: "50",
      OUT: out,
    };
    const script = join(repository, "examples/notebook/run.py");
    const ended = await execute("python3", [script], { env, cwd: out, timeoutMs: 200_000 });
    expect(ended.code, `${ended.stdout}\n${ended.stderr}`).toBe(0);
    const { stdout } = ended;
    const table = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
    expect(table).toContainEqual([
      "run",
      "rounds completed",
      "change in",
      "inside",
      "refused in",
      "reason",
      "accuracy",
    ]);
    const row = table.find((cells) => cells[0] === "1" && cells.length === 7) ?? [];
    const [, completed, changed, inside, refused, reason, accuracy] = row;
    // On a machine that is busy the change may come just after its round: then the run says so.
    expect(inside).toMatch(/^(yes|no)$/);
    expect([completed, Number(refused), reason]).toEqual([changed, Number(changed) + 1, "POL-NO-AGREEMENT"]);
    expect(Number(accuracy)).toBeGreaterThan(0.5);
    for (const plot of ["accuracy.svg", "durations.svg", "rounds.svg"]) {
      expect(stdout).toContain(join(out, plot));
      expect(readFileSync(join(out, plot), "utf8")).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
    }
    expect(stdout).toContain(`stack ${STACK} is down`);
    expect(market.processes()).toEqual([]);
  });
});

const formatHost: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (f) => f,
  getCurrentDirectory: () => repository,
  getNewLine: () => "\n",
};

/** The names that a module has, and the variables of the environment that our own code read while it was loaded. */
async function names(
  project: string,
  file: string,
  load: string,
): Promise<{ readonly names: string[]; readonly read: string[] }> {
  const watch = join(project, "watch.cjs");
  writeFileSync(
    watch,
    `const real = process.env;
globalThis.read = [];
process.env = new Proxy(real, {
  get(target, name) {
    const [, caller = ""] = new Error().stack.split("\\n").slice(1);
    if (caller.includes("/dynamos-fabric/dist/")) globalThis.read.push(String(name) + " " + caller.trim());
    return target[name];
  },
});`,
  );
  writeFileSync(
    join(project, file),
    `${load}\nprocess.stdout.write(JSON.stringify({ names: Object.keys(found).sort(), read: globalThis.read }));`,
  );
  // It ends by itself, so nothing was started; and it wrote what we asked for and nothing else.
  const { stdout, stderr } = await run(process.execPath, ["--require", watch, join(project, file)], {
    timeout: 60_000,
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

function files(folder: string, extension: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** `@pulumi/pulumi/log` is of the package `@pulumi/pulumi`. */
function packageOf(request: string): string {
  return request
    .split("/")
    .slice(0, request.startsWith("@") ? 2 : 1)
    .join("/");
}

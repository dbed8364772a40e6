import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { nameOf, type StackResource, TestStack } from "../../support/engine.js";
import { type SshConnection, SshServers } from "../../support/ssh-servers.js";

const program = `
const { readFileSync } = require("fs");
const { NodeFiles } = require("dynamos-fabric/infra");
new NodeFiles("data", JSON.parse(readFileSync(process.env.FILES_SPEC, "utf8")));
`;
const owner = 10_001;

/** The real engine and real SSH servers on loopback. Files get another owner, so only root can do this. */
describe("files on nodes", { timeout: 120_000 }, () => {
  let servers: SshServers;
  let stack: TestStack;
  const here = mkdtempSync(join(tmpdir(), "node files "));
  const connections: Record<string, SshConnection> = {};
  const isRoot = process.getuid?.() === 0;
  beforeEach(({ skip }) => skip(!isRoot, "needs root: files get an owner"));

  beforeAll(async () => {
    if (!isRoot) return;
    servers = await SshServers.start();
    for (const node of ["uva", "vu"]) connections[node] = await servers.host(node);
    stack = new TestStack({ program, env: { FILES_SPEC: join(here, "spec.json") } });
  }, 300_000);
  afterAll(async () => {
    stack?.end();
    await servers?.end();
    rmSync(here, { recursive: true, force: true });
  }, 60_000);

  const folder = (node: string) => join(servers.home(node), "volumes", "data");
  const file = (name: string, content: string | Buffer) => {
    const path = join(here, "data", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const bytes = statSync(path).size;
    return { name, path, sha256: createHash("sha256").update(content).digest("hex"), bytes };
  };
  const hosts = () =>
    Object.fromEntries(
      Object.entries(connections).map(([node, { host: address, port, user, privateKey, hostKey }]) => [
        node,
        { address, port, user, privateKey, hostKey },
      ]),
    );
  const wanted = (...folders: { node: string; folder: string; files?: object[] }[]) =>
    writeFileSync(join(here, "spec.json"), JSON.stringify({ hosts: hosts(), owner, folders }));
  const up = async () => {
    const done = await stack.up();
    expect(done.code, done.text).toBe(0);
    return done;
  };
  const changes = async () =>
    (await stack.preview()).steps
      .filter(({ op }) => op !== "same")
      .map(({ op, urn }) => `${op} ${nameOf(urn)}`);
  const stateText = () =>
    readdirSync(stack.state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
      .join("\n");
  const big = Buffer.alloc(40_000_000, "a line of nobody's data\n");

  it("come whole to their own node only, closed to all but owner and group, and are in no state", async () => {
    const uva = [file("uva/persons.csv", "name,fte\nquiet-person,0.5\n"), file("uva/2026/big one.csv", big)];
    wanted(
      { node: "uva", folder: folder("uva"), files: uva },
      { node: "vu", folder: folder("vu"), files: [] },
    );
    const done = await up();
    expect(readFileSync(join(folder("uva"), "uva/persons.csv"), "utf8")).toContain("quiet-person");
    expect(readFileSync(join(folder("uva"), "uva/2026/big one.csv")).equals(big)).toBe(true);
    for (const path of ["uva", "uva/2026", "uva/persons.csv", "uva/2026/big one.csv"]) {
      const { mode, uid, gid } = statSync(join(folder("uva"), path));
      expect([mode & 0o777, uid, gid], path).toEqual([path.endsWith("csv") ? 0o640 : 0o750, owner, owner]);
    }
    expect(readdirSync(folder("vu"))).toEqual([]);
    expect(readdirSync(servers.home("vu"), { recursive: true }).filter((name) => String(name).includes("csv"))).toEqual([]); // biome-ignore format: one line
    // Nothing is left of the copies' way.
    const left = readdirSync(join(servers.home("uva"), ".dynamos-fabric-files"), { recursive: true, withFileTypes: true }); // biome-ignore format: one line
    expect(left.filter((entry) => entry.isFile())).toEqual([]);
    expect(stateText()).not.toMatch(/quiet-person|nobody's data|PRIVATE KEY/);
    expect(JSON.stringify(done.resources)).not.toMatch(/quiet-person|nobody's data/);
  });

  it("run nothing when nothing changed, and of what changed only its own", async () => {
    expect(await changes()).toEqual([]);
    const inode = () => statSync(join(folder("uva"), "uva/2026/big one.csv")).ino;
    const before = inode();
    const uva = [file("uva/persons.csv", "name,fte\nquiet-person,0.7\n"), file("uva/2026/big one.csv", big)];
    const more = file("vu/new.csv", "x\n1\n");
    wanted(
      { node: "uva", folder: folder("uva"), files: uva },
      { node: "vu", folder: folder("vu"), files: [more] },
    );
    const told = await changes();
    expect(told.filter((line) => line.includes("big one"))).toEqual([]);
    expect(told.some((line) => /replace data-uva-.*persons\.csv$/.test(line))).toBe(true);
    await up();
    expect(readFileSync(join(folder("uva"), "uva/persons.csv"), "utf8")).toContain("0.7");
    expect(inode()).toBe(before);
    expect(readFileSync(join(folder("vu"), "vu/new.csv"), "utf8")).toBe("x\n1\n");
  });

  it("go when they are not named any more, but not what somebody changed there; destroy takes the rest", async () => {
    const persons = file("uva/persons.csv", "name,fte\nquiet-person,0.7\n");
    writeFileSync(join(folder("vu"), "vu/new.csv"), "changed there\n");
    wanted(
      { node: "uva", folder: folder("uva"), files: [persons] },
      { node: "vu", folder: folder("vu"), files: [] },
    );
    const done = await up();
    expect(existsSync(join(folder("uva"), "uva/2026/big one.csv"))).toBe(false);
    expect(readFileSync(join(folder("vu"), "vu/new.csv"), "utf8")).toBe("changed there\n");
    expect(done.text).toContain("was changed there, and stays");
    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect(existsSync(folder("uva"))).toBe(false);
    expect(existsSync(join(folder("vu"), "vu/new.csv"))).toBe(true);
    rmSync(folder("vu"), { recursive: true });
  });

  it("that are there already are only looked at: missing or closed ones are a coded error", async () => {
    const there = join(servers.home("vu"), "own data");
    wanted({ node: "vu", folder: there });
    expect((await stack.up()).text).toMatch(/error: nodes\.vu {2}CLU-FILE-MISSING {2}there is no folder/);
    mkdirSync(there);
    writeFileSync(join(there, "a.csv"), "a\n", { mode: 0o600 });
    expect((await stack.up()).text).toMatch(/error: nodes\.vu {2}CLU-FILE-CLOSED .*a\.csv/);
    chmodSync(join(there, "a.csv"), 0o644);
    await up();
    expect(statSync(join(there, "a.csv")).uid).toBe(process.getuid?.());
    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect(existsSync(join(there, "a.csv"))).toBe(true);
  });

  it("that changed between their checksum and their copy are not put in place; the next run mends it", async () => {
    const said = file("uva/persons.csv", "name\nold\n");
    writeFileSync(said.path, "name\nnew\n");
    wanted({ node: "uva", folder: folder("uva"), files: [said] });
    const failed = await stack.up();
    expect(failed.code).not.toBe(0);
    expect(failed.text).toMatch(/error: nodes\.uva {2}CLU-FILE-CHECKSUM/);
    expect(existsSync(join(folder("uva"), "uva/persons.csv"))).toBe(false);
    wanted({ node: "uva", folder: folder("uva"), files: [file("uva/persons.csv", "name\nnew\n")] });
    const made: readonly StackResource[] = (await up()).resources;
    expect(made.some(({ type }) => type === "command:remote:CopyToRemote")).toBe(true);
    expect(readFileSync(join(folder("uva"), "uva/persons.csv"), "utf8")).toBe("name\nnew\n");
    expect((await stack.destroy()).code).toBe(0);
  });
});

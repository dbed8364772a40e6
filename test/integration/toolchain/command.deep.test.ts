import { spawn } from "node:child_process";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { utils } from "ssh2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { engineArguments } from "../../../infra/toolchain/engine.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { silentProgress } from "../../../infra/toolchain/progress.js";
import { repairStack } from "../../../infra/toolchain/repair.js";
import { nameOf, TestStack, type Update } from "../../support/engine.js";
import { type SshConnection, SshServers } from "../../support/ssh-servers.js";
import { until } from "../emulator/until.js";
import { cases, failures } from "./command-cases.js";
import { type Declared, filled, programOf } from "./command-program.js";

/** Path of the official plugin's program, to run the table against it. */
const official = process.env.DYNAMOS_FABRIC_COMMAND_PLUGIN;
const env = official === undefined ? {} : { PATH: `${dirname(official)}:${process.env.PATH}` };
const limit = { timeout: 240_000 };

let servers: SshServers;
let host: SshConnection;
let closed: number;
let silent: Server;
const here = mkdtempSync(join(tmpdir(), "dynamos-fabric command "));
const locked = lockedKey("p w");
const stacks: TestStack[] = [];

/** A key with a password, and its line in authorized_keys. */
function lockedKey(passphrase: string): { readonly privateKey: string; readonly publicKey: string } {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const text = privateKey
    .export({ type: "pkcs1", format: "pem", cipher: "aes-256-cbc", passphrase })
    .toString();
  const open = utils.parseKey(
    createPrivateKey({ key: text, passphrase }).export({ type: "pkcs1", format: "pem" }),
  );
  if (open instanceof Error) throw open;
  return { privateKey: text, publicKey: `ssh-rsa ${open.getPublicSSH().toString("base64")} locked` };
}

/** Takes connections and never says a word. */
async function listening(): Promise<Server> {
  const server = createServer((socket) => socket.unref());
  await new Promise<void>((done) => server.listen(0, host.host, done));
  return server;
}
const portOf = (server: Server): number => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
};

const stackOf = (resources: readonly Declared[]): TestStack => {
  const stack = new TestStack({ program: programOf(resources), env });
  stacks.push(stack);
  return stack;
};

/** With the table's words put in; a remote resource without a connection gets the host's. */
function declared(name: string, type = "remote.Command", args: object = {}, options?: object): Declared {
  const home = servers.home("one");
  const words = {
    JOURNAL: `${home.replaceAll(" ", "\\ ")}/journal-${name}`,
    REFUSED: `${home.replaceAll(" ", "\\ ")}/refused`,
    HOME: home,
    HERE: here,
    HOST: host.host,
    LOCKEDKEY: locked.privateKey,
    OTHERPRIVATE: makeSshKeyPair("other").privateKey,
    OTHERKEY: makeSshKeyPair("other").publicKey,
    CLOSED: closed,
    SILENT: portOf(silent),
  };
  const put = filled(
    { connection: { $of: "HOST" }, ...args },
    { HOST: host, BASTION: servers.bastion },
    words,
  ) as Declared["args"];
  return { name, type, args: put, ...(options === undefined ? {} : { options: { ...options } }) };
}
const journal = (name: string): string[] => {
  const file = join(servers.home("one"), `journal-${name}`);
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
};
const outputOf = (update: Update, name: string): unknown => update.outputs[name];

beforeAll(async () => {
  servers = await SshServers.start();
  host = await servers.host("one", { accepted: "PULUMI_COMMAND_*", keys: [locked.publicKey] });
  silent = await listening();
  const gone = await listening();
  closed = portOf(gone);
  await new Promise((done) => gone.close(done));
  writeFileSync(join(here, "first.txt"), "first");
  writeFileSync(join(here, "same.txt"), "first");
  mkdirSync(join(here, "tree", "deep"), { recursive: true });
  writeFileSync(join(here, "tree", "a.txt"), "a");
  writeFileSync(join(here, "tree", "deep", "b.txt"), "b");
}, 300_000);

afterAll(async () => {
  for (const stack of stacks) stack.end();
  silent?.close();
  await servers?.end();
  rmSync(here, { recursive: true, force: true });
}, 60_000);

describe("the command plugin", limit, () => {
  const named = cases.map((each, i) => ({ name: `c${i}`, ...each }));
  let first: Update;
  let steps: ReadonlyMap<string, string>;
  let second: Update;
  let unchanged: Readonly<Record<string, number>>;
  let refreshed: Update;
  let destroyed: Update;
  let stack: TestStack;

  beforeAll(async () => {
    const all = (which: "first" | "next") =>
      named.map((each) =>
        declared(
          each.name,
          each.type,
          (which === "next" ? each.next : undefined) ?? each.first,
          each.options,
        ),
      );
    stack = stackOf(all("first"));
    first = await stack.up();
    expect(first.code, first.text).toBe(0);
    stack.program(programOf(all("next")));
    const preview = await stack.preview();
    expect(preview.code, preview.text).toBe(0);
    steps = new Map(preview.steps.map((step) => [nameOf(step.urn), step.op]));
    second = await stack.up();
    expect(second.code, second.text).toBe(0);
    const before = named.map((each) => journal(each.name));
    unchanged = (await stack.preview()).changeSummary;
    refreshed = await stack.refresh();
    expect(named.map((each) => journal(each.name))).toEqual(before);
    destroyed = await stack.destroy();
  }, 300_000);

  for (const [i, { says, ...each }] of cases.entries()) {
    it(says, () => {
      const name = `c${i}`;
      const fill = (value: unknown) => filled(value, {}, { HOST: host.host, HERE: here });
      if (each.outputs) expect(outputOf(first, name)).toMatchObject(fill(each.outputs) as object);
      expect(steps.get(name) ?? "same").toBe(each.step ?? "same");
      if (each.outputsNext) expect(outputOf(second, name)).toMatchObject(fill(each.outputsNext) as object);
      for (const [file, text] of Object.entries(each.files ?? {}))
        expect(readFileSync(join(servers.home("one"), file), "utf8")).toBe(text);
      if (each.journal) expect(journal(name)).toEqual(each.journal);
    });
  }

  it("runs nothing in a preview, a refresh or an update without changes", () => {
    expect(unchanged).toEqual({ same: cases.length + 1 });
    expect(refreshed.code, refreshed.text).toBe(0);
    expect(refreshed.resources).toHaveLength(second.resources.length);
  });

  it("has everything away after destroy", () => {
    expect(destroyed.code, destroyed.text).toBe(0);
    expect(destroyed.resources).toEqual([]);
  });

  it("shows output while it runs, unless logging is none", () => {
    expect(first.text).toContain("open-output");
    expect(first.text).not.toContain("hidden-output");
  });

  it.runIf(official === undefined)("says in the output that a stand-in is at work", () => {
    expect(first.text).toContain(
      "our stand-in runs the commands: the official command plugin 1.2.1 is not to be had here",
    );
    expect(first.text).not.toContain("warning: using");
  });
});

describe("a command that fails", limit, () => {
  const told = failures.filter((each) => official === undefined || each.differs === undefined);
  let update: Update;
  let seconds: number;

  beforeAll(async () => {
    writeFileSync(join(servers.home("one"), "file"), "");
    const stack = stackOf(told.map(({ type, args }, i) => declared(`f${i}`, type, args)));
    const started = performance.now();
    update = await stack.up(["--continue-on-error"]);
    seconds = (performance.now() - started) / 1000;
    expect(update.code).not.toBe(0);
  }, 240_000);

  /** What the engine wrote of one resource. */
  const shownOf = (name: string): string => {
    const blocks = update.text.split(/^ {2}(?=\S+ \(\S+\):$)/m);
    return blocks.filter((block) => new RegExp(`^\\S+ \\(${name}\\):`).test(block)).join("\n");
  };

  for (const [i, { says, shows, ours = [] }] of told.entries()) {
    it(says, () => {
      const shown = shownOf(`f${i}`);
      for (const expected of official === undefined ? [...shows, ...ours] : shows) {
        const text = expected.source.replaceAll("HOME", servers.home("one"));
        expect(shown, update.text).toMatch(new RegExp(text, expected.flags));
      }
    });
  }

  it("is not in the state, ran nothing it must not, and shows no secret", () => {
    expect(update.resources.filter((resource) => resource.type.startsWith("command:"))).toEqual([]);
    expect(existsSync(join(servers.home("one"), "refused"))).toBe(false);
    expect(update.text).not.toMatch(/quiet-word|QUIET-TEXT|PRIVATE KEY/);
    expect(seconds).toBeLessThan(60);
  });
});

describe("secrets of a connection", limit, () => {
  it("are in no file of the state, and in no process's arguments", async () => {
    const word = `quiet-${host.port}-password`;
    const seen = `ps -eo args | grep -c "[q]uiet-" || true`;
    const args = { create: seen, connection: { ...host, password: word } };
    const stack = stackOf([declared("quiet", "remote.Command", args)]);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.outputs.quiet).toEqual({ stdout: "0", stderr: "" });
    const files = readdirSync(stack.state, { recursive: true, withFileTypes: true }).filter((file) =>
      file.isFile(),
    );
    const texts = files.map((file) => readFileSync(join(file.parentPath, file.name), "utf8"));
    expect(texts.some((text) => text.includes("command:remote:Command"))).toBe(true);
    expect(texts.filter((text) => text.includes(word) || text.includes("PRIVATE KEY"))).toEqual([]);
    expect((await stack.destroy()).code).toBe(0);
  });
});

describe("a machine that is gone", limit, () => {
  it("fails the delete in bounded time and keeps the resource; once it is back, the delete is done", async () => {
    const two = await servers.host("two");
    const connection = { ...two, dialErrorLimit: 1, perDialTimeout: 5 };
    const file = join(servers.home("two"), "deleted");
    const stack = stackOf([
      declared("gone", "remote.Command", { create: "true", delete: "touch deleted", connection }),
    ]);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    await servers.stop("two");
    const failed = await stack.destroy();
    expect(failed.code).not.toBe(0);
    expect(failed.text).toMatch(/after 2 failed attempts: .*ECONNREFUSED/);
    expect(failed.resources.map((resource) => nameOf(resource.urn))).toContain("gone");
    expect(existsSync(file)).toBe(false);
    await servers.host("two", { at: two });
    const destroyed = await stack.destroy();
    expect(destroyed.code, destroyed.text).toBe(0);
    expect(existsSync(file)).toBe(true);
  });
});

describe("a command that takes longer than its resource may", limit, () => {
  it.runIf(official === undefined)("is given up at that time, and told as lost", async () => {
    const options = { customTimeouts: { create: "3s" } };
    const stack = stackOf([declared("slow", "remote.Command", { create: "sleep 100" }, options)]);
    const started = performance.now();
    const up = await stack.up();
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/CMD-LOST/);
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});

describe("what the stand-in does not do", limit, () => {
  it.runIf(official === undefined)("is an error at preview, with its code and place", async () => {
    const stack = stackOf([{ name: "r", type: "local.Command", args: { create: "true" } }]);
    expect((await stack.preview()).text).toMatch(/CMD-NOT-BUILT.*command:local:Command/);
    stack.program(
      programOf([{ name: "r", type: "remote.Command", args: { logging: "loud", connection: {} } }]),
    );
    const second = await stack.preview();
    expect(second.code).not.toBe(0);
    expect(second.text).toMatch(/logging/);
    expect(second.text).toMatch(/connection\.host/);
    stack.program(
      programOf([
        {
          name: "r",
          type: "remote.CopyFile",
          args: { connection: { host: "x" }, localPath: "a", remotePath: "b" },
        },
      ]),
    );
    expect((await stack.preview()).text).toMatch(/CMD-NOT-BUILT.*command:remote:CopyFile/);
  });
});

describe.runIf(process.platform === "linux")("an engine that is killed while a command runs", limit, () => {
  it("leaves no plugin behind, and the next run runs the command again", async () => {
    const slow = "echo begun >>slow; [ -e go ] || sleep 20; echo done";
    const stack = stackOf([declared("slow", "remote.Command", { create: slow })]);
    const engine = await stack.engine();
    const args = [...engineArguments(engine, ["up", "--yes", "--skip-preview"]), "--non-interactive"];
    const run = spawn(engine.tool.path, args, { cwd: engine.project, env: engine.env, stdio: "ignore" });
    const begun = (): number => {
      const file = join(servers.home("one"), "slow");
      return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").length : 0;
    };
    await until(
      "begin",
      async () => begun(),
      (count) => count === 1,
      60,
    );
    run.kill("SIGKILL");
    const plugins = async () =>
      (await execute("ps", ["-eo", "pid,ppid,args"])).stdout
        .split("\n")
        .filter((line) => line.includes("command/plugin.js") && line.includes(` ${run.pid} `));
    await until("end of the plugin", plugins, (left) => left.length === 0, 20);
    writeFileSync(join(servers.home("one"), "go"), "");
    await repairStack(await stack.engine(), silentProgress);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.outputs.slow).toEqual({ stdout: "done", stderr: "" });
    expect(begun()).toBe(2);
    expect((await stack.destroy()).code).toBe(0);
  });
});

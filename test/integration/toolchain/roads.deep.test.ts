import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensure } from "../../../infra/toolchain/tools.js";
import { startBroker, startStore } from "../../support/servers.js";

// A machine is what is on its PATH: here a folder with a few scripts in place of npm, go and apt-get.
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "roads "));
  mkdirSync(join(folder, "bin"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
function machine(scripts: Readonly<Record<string, string>>): Record<string, string> {
  for (const [name, body] of Object.entries(scripts)) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, "bin", name), 0o755);
  }
  return { PATH: join(folder, "bin"), HOME: folder, DYNAMOS_FABRIC_CACHE: join(folder, "cache") };
}
/** What an install leaves behind: nothing but the folder of locks. */
const left = (): string[] => readdirSync(join(folder, "cache")).filter((name) => name !== "locks");

describe("the engine where it cannot be had", () => {
  const noNpm = { npm: "exit 1" };
  it.each([
    ["without Go", {}, "TOOL-GO-MISSING"],
    [
      "with an old Go",
      { go: 'case "$1" in version) echo go version go1.19.1 linux/amd64;; env) echo;; esac' },
      "TOOL-GO-OLD",
    ],
    [
      "with a Go told to stay as it is",
      { go: 'case "$1" in version) echo go version go1.24.1 linux/amd64;; env) echo local;; esac' },
      "TOOL-GO-OLD",
    ],
    [
      "without a network",
      {
        go: 'case "$1" in version) echo go version go1.26.1 linux/amd64;; env) echo;; build) echo "go: x: dial tcp: lookup proxy: no such host" >&2; exit 1;; esac',
      },
      "TOOL-NO-NETWORK",
    ],
    [
      "when the build fails",
      {
        go: 'case "$1" in version) echo go version go1.26.1 linux/amd64;; env) echo;; build) echo "x.go:1: syntax error" >&2; exit 1;; esac',
      },
      "TOOL-ENGINE-BUILD",
    ],
  ])("%s: one coded error and nothing half done", async (_, scripts, code) => {
    await expect(ensure(["pulumi"], undefined, machine({ ...noNpm, ...scripts }))).rejects.toMatchObject({
      code,
    });
    expect(left()).toEqual([]);
  });

  it("names the command that installs Go", async () => {
    await expect(ensure(["pulumi"], undefined, machine(noNpm))).rejects.toMatchObject({
      problems: [{ remedy: expect.stringMatching(/apt install|brew install/) }],
    });
  });
});

describe("broker and store where they cannot be had", () => {
  it.each([
    ["nothing there", {}, "TOOL-NO-ROAD"],
    ["a container runtime that does not answer", { docker: "exit 1" }, "TOOL-NO-ROAD"],
    [
      "no network",
      { dpkg: "exit 0", "apt-get": "echo \"W: Failed to fetch x  Could not resolve 'x'\" >&2; exit 100" },
      "TOOL-NO-NETWORK",
    ],
    [
      "not among the packages",
      { dpkg: "exit 0", "apt-get": 'echo "E: Unable to locate package" >&2; exit 100' },
      "TOOL-PACKAGES",
    ],
  ])("%s: one coded error and nothing half done", async (_, scripts, code) => {
    const env = machine({ ...scripts });
    // What an install that was killed has left goes with the next.
    mkdirSync(join(folder, "cache", "servers.new-killed", "root"), { recursive: true });
    await expect(ensure(["etcd"], undefined, env)).rejects.toMatchObject({ code });
    expect(left()).toEqual([]);
  });
});

describe.runIf(existsSync("/usr/bin/apt-get"))(
  "broker and store from Debian's packages",
  { timeout: 300_000 },
  () => {
    it("are unpacked into a cache folder with a space, once for two that ask, and run from there", async () => {
      const env = { PATH: "/usr/bin:/bin", HOME: folder, DYNAMOS_FABRIC_CACHE: join(folder, "cache") };
      const lines: string[] = [];
      const progress = {
        line: (text: string) => void lines.push(text),
        step: () => ({ update: () => {}, done: (text?: string) => void (text && lines.push(text)) }),
      };
      const [tools] = await Promise.all([
        ensure(["rabbitmq-server", "epmd", "etcd"], progress, env),
        ensure(["etcd"], progress, env),
      ]);
      expect(lines.filter((line) => line.startsWith("broker and store: Debian packages"))).toHaveLength(1);
      expect(left()).toEqual(["servers"]);

      // Both run from there, the broker's scripts and Erlang included.
      const path = process.env.PATH;
      process.env.PATH = `${dirname(tools.etcd.path)}:${path}`;
      try {
        const servers = await Promise.all([startBroker(), startStore()]);
        for (const server of servers) await server.stop();
      } finally {
        process.env.PATH = path;
      }
    });
  },
);

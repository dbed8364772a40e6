import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { engineArguments } from "../../../infra/toolchain/engine.js";
import { isHeld, StackState } from "../../../infra/toolchain/stack-state.js";

let backend: string;
beforeEach(() => {
  backend = mkdtempSync(join(tmpdir(), "backend "));
});
afterEach(() => rmSync(backend, { recursive: true, force: true }));
const write = (path: string, content: unknown): string => {
  const file = join(backend, ".pulumi", path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
};

describe("isHeld", () => {
  it.each([
    ["here", "here", "pulumi", true],
    ["here", "here", undefined, false],
    ["here", "here", "bash", false],
    ["elsewhere", "here", undefined, true],
  ])("lock of %s seen from %s, process %s: %s", (of, here, holder, expected) => {
    expect(isHeld({ hostname: of }, here, holder)).toBe(expected);
  });
});

describe("StackState", () => {
  it("tells what is there, what was cut off, and removes the locks of the dead", () => {
    const state = new StackState(backend, "p", "dev");
    expect([state.exists, state.resourceCount(), state.pendingOperations(), state.clearDeadLocks()]).toEqual([
      false,
      0,
      [],
      undefined,
    ]);
    write("stacks/p/dev.json", {
      checkpoint: {
        latest: {
          secrets_providers: { type: "passphrase", state: { salt: "v1:x" } },
          resources: [
            { type: "pulumi:pulumi:Stack" },
            { type: "pulumi:providers:pulumi-nodejs" },
            { type: "a:b:C" },
          ],
          pending_operations: [{ type: "creating", resource: { urn: "urn:pulumi:dev::p::a:b:C::dev-one" } }],
        },
      },
    });
    expect([state.exists, state.resourceCount(), state.salt()]).toEqual([true, 1, "v1:x"]);
    expect(state.pendingOperations()).toEqual(["creating dev-one"]);

    // No process has this pid: the kernel's largest is 4194304.
    const dead = write("locks/organization/p/dev/1.json", {
      pid: 4_999_999,
      hostname: hostname(),
      timestamp: "2026-01-01T00:00:00Z",
    });
    const attributes = write("locks/organization/p/dev/1.json.attrs", {
      "user.content_type": "application/json",
    });
    const torn = write("locks/organization/p/dev/2.json", '{"pid":');
    const far = { pid: 1, hostname: "another-machine", timestamp: "2026-01-01T00:00:00Z" };
    const live = write("locks/organization/p/dev/3.json", far);
    expect(state.clearDeadLocks()).toEqual(far);
    expect([dead, attributes, torn, live].map(existsSync)).toEqual([false, false, false, true]);
  });

  it("names a state that was cut off in the middle", () => {
    write("stacks/p/dev.json", '{"checkpoint":');
    expect(() => new StackState(backend, "p", "dev").resourceCount()).toThrowError(
      expect.objectContaining({ code: "TOOL-STATE-DAMAGED" }),
    );
  });
});

describe("engineArguments", () => {
  const engine = { stack: "dev", configFile: "/c d" };
  it.each([
    [
      ["up", "--yes"],
      ["up", "--stack", "dev", "--config-file", "/c d", "--yes"],
    ],
    [["preview"], ["preview", "--stack", "dev", "--config-file", "/c d"]],
    [
      ["stack", "output", "--json"],
      ["stack", "output", "--stack", "dev", "--json"],
    ],
  ])("%j: %j", (args, expected) => expect(engineArguments(engine, args)).toEqual(expected));
});

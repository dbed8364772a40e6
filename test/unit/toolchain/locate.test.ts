import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder } from "../../../infra/toolchain/cache.js";
import { locate } from "../../../infra/toolchain/locate.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "locate "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(...path: string[]): string {
  const file = join(folder, ...path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o755);
  return file;
}
const env = (...path: string[]) => ({
  PATH: path.map((name) => join(folder, name)).join(":"),
  DYNAMOS_FABRIC_CACHE: join(folder, "cache"),
});

describe("cacheFolder", () => {
  it.each([
    [{ DYNAMOS_FABRIC_CACHE: "/x y", XDG_CACHE_HOME: "/c", HOME: "/h" }, "/x y"],
    [{ DYNAMOS_FABRIC_CACHE: "", XDG_CACHE_HOME: "/c", HOME: "/h" }, "/c/dynamos-fabric"],
    [{ XDG_CACHE_HOME: "relative", HOME: "/h" }, "/h/.cache/dynamos-fabric"],
    [{ HOME: "/h" }, "/h/.cache/dynamos-fabric"],
  ])("%j: %s", (environment, expected) => expect(cacheFolder(environment)).toBe(expected));
});

describe("locate", () => {
  it("prefers PATH, then the cache, then nothing", () => {
    expect(locate("etcd", env("bin"))).toBeUndefined();
    const cached = program("cache", "servers", "bin", "etcd");
    expect(locate("etcd", env("bin"))).toBe(cached);
    const own = program("bin", "etcd");
    expect(locate("etcd", env("bin"))).toBe(own);
  });

  it("takes no folder and no file that cannot be run for a program", () => {
    mkdirSync(join(folder, "bin", "etcd"), { recursive: true });
    mkdirSync(join(folder, "other"));
    writeFileSync(join(folder, "other", "etcd"), "");
    expect(locate("etcd", env("bin", "other"))).toBeUndefined();
  });

  it("takes an engine only with its language host: beside it, beside what it is a link to, or on PATH", () => {
    program("real", "pulumi");
    mkdirSync(join(folder, "bin"));
    symlinkSync(join(folder, "real", "pulumi"), join(folder, "bin", "pulumi"));
    expect(locate("pulumi", env("bin"))).toBeUndefined();
    program("real", "pulumi-language-nodejs");
    expect(locate("pulumi", env("bin"))).toBe(join(folder, "bin", "pulumi"));
    rmSync(join(folder, "real", "pulumi-language-nodejs"));
    program("elsewhere", "pulumi-language-nodejs");
    expect(locate("pulumi", env("bin", "elsewhere"))).toBe(join(folder, "bin", "pulumi"));
  });

  it("takes a broker only with Erlang", () => {
    program("bin", "rabbitmq-server");
    expect(locate("rabbitmq-server", env("bin"))).toBeUndefined();
    program("bin", "erl");
    program("bin", "epmd");
    expect(locate("rabbitmq-server", env("bin"))).toBe(join(folder, "bin", "rabbitmq-server"));
  });
});

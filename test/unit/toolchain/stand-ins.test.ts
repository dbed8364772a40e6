import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as rpc from "@pulumi/pulumi/runtime/rpc";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unknownValue } from "../../../infra/dynamic.js";
import { isSame, masker, revealed } from "../../../infra/toolchain/plugin-values.js";
import { placeStandIns } from "../../../infra/toolchain/stand-ins.js";

/** As the SDK marks it. */
const secret = (value: unknown) => ({ [rpc.specialSigKey]: rpc.specialSecretSig, value });

const versions = { command: "1.2.1", kubernetes: "4.34.2" };

describe.each(Object.entries(versions))("the stand-in for the %s plugin", (name, version) => {
  let home: string;
  let program: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "dynamos-fabric home "));
    program = join(home, "plugins", `resource-${name}-v${version}`, `pulumi-resource-${name}`);
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it("lies where the engine looks for plugins, and goes when the official one can be fetched", () => {
    placeStandIns(home, __dirname, true);
    placeStandIns(home, __dirname, true);
    expect(readFileSync(program, "utf8")).toContain(`"$DYNAMOS_FABRIC_TOOLCHAIN/${name}/plugin.js"`);
    expect(readdirSync(home)).toEqual(["plugins"]);
    placeStandIns(home, __dirname, false);
    expect(existsSync(program)).toBe(false);
  });

  it("has the version that the project's package asks for", () => {
    const modules = join(home, "project", "node_modules", "@pulumi", name);
    mkdirSync(modules, { recursive: true });
    writeFileSync(join(modules, "package.json"), JSON.stringify({ version: "9.9.9" }));
    placeStandIns(home, join(home, "project"), true);
    expect(readdirSync(join(home, "plugins"))).toContain(`resource-${name}-v9.9.9`);
  });

  it("never takes the place of an official one", () => {
    mkdirSync(join(program, ".."), { recursive: true });
    writeFileSync(program, "official");
    for (const wanted of [true, false]) {
      placeStandIns(home, __dirname, wanted);
      expect(readFileSync(program, "utf8")).toBe("official");
    }
  });
});

describe("values of the engine", () => {
  it("have the marks that the SDK has", () => {
    expect(unknownValue).toBe(rpc.unknownValue);
    for (const mark of [rpc.specialAssetSig, rpc.specialArchiveSig]) {
      const file = (path: string, hash: string) => [{ [rpc.specialSigKey]: mark, hash, path }];
      expect(isSame(file("a", "1"), file("b", "1"))).toBe(true);
      expect(isSame(file("a", "1"), file("a", "2"))).toBe(false);
    }
    expect(revealed({ a: secret([secret("x")]) })).toEqual({ a: ["x"] });
  });

  it("are not the same when one became a secret", () => {
    expect(isSame({ a: "x" }, { a: secret("x") })).toBe(false);
    expect(isSame(undefined, undefined)).toBe(true);
  });

  it("leave no secret in a text, wherever it stands", () => {
    fc.assert(
      fc.property(
        fc
          .string({ minLength: 6 })
          .filter((text) => text.trim().length >= 6 && !"[secret]".includes(text.trim())),
        fc.string(),
        fc.string(),
        (word, before, after) => {
          const mask = masker({
            environment: { A: secret(word) },
            connection: secret({ host: "h", password: word }),
          });
          expect(mask(`${before}${word}${after}`).includes(word.trim())).toBe(false);
        },
      ),
    );
  });

  it("show a connection's address, and never its keys, line by line", () => {
    const key = "-----BEGIN KEY-----\nAAAABBBB\nCC==\n-----END KEY-----\n";
    const connection = secret({
      host: "192.0.2.1",
      user: "ubuntu",
      privateKey: key,
      proxy: { host: "b", password: "pass word" },
    });
    const mask = masker({
      connection,
      create: secret("curl -H 'Bearer: token-77' 192.0.2.1"),
      stdin: "192.0.2.1",
    });
    expect(mask("ubuntu@192.0.2.1: AAAABBBB and CC==, pass word; token-77")).not.toMatch(
      /AAAA|CC==|pass word|token-77/,
    );
    expect(masker({ connection })("ubuntu@192.0.2.1")).toBe("ubuntu@192.0.2.1");
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { InfraError } from "../../../infra/problem.js";
import { saltOf, stackConfig } from "../../../infra/toolchain/stack-config.js";

const salt = "v1:0RrY860nWY4=:v1:aOYWbYoQCnpFZDnb:UB1bMIWGUhU8YQISQU6ikhrXkNeeZg==";
const value: fc.Arbitrary<unknown> = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string()));

describe("the engine's copy of a stack's configuration", () => {
  it("holds the user's values and the salt, whatever the values", () => {
    const key = fc.string({ minLength: 1 }).filter((name) => name !== "__proto__" && name.trim() === name);
    fc.assert(
      fc.property(fc.dictionary(key, value), (config) => {
        const copy = stackConfig(stringify({ config }), salt, "Pulumi.dev.yaml");
        expect(parse(copy.text)).toEqual({ config, encryptionsalt: salt });
        expect(saltOf(copy.text, "Pulumi.dev.yaml")).toBe(salt);
      }),
    );
  });

  it("keeps comments, so that the engine's messages about lines fit", () => {
    const text = "# a schema line\nconfig:\n  a:b: 1 # why\n";
    expect(stackConfig(text, salt, "f").text).toBe(`${text}encryptionsalt: ${salt}\n`);
  });

  it("works without a file, and before there is a salt", () => {
    expect(parse(stackConfig(undefined, salt, "f").text)).toEqual({ encryptionsalt: salt });
    expect(parse(stackConfig(undefined, undefined, "f").text)).toEqual({});
    expect(parse(stackConfig("# nothing yet\n", salt, "f").text)).toEqual({ encryptionsalt: salt });
  });

  it.each(["encryptionsalt: v1:own\n", "secretsprovider: awskms://alias/x\nencryptedkey: abc\n"])(
    "leaves a file with secrets of its own as it is: %j",
    (text) => {
      const copy = stackConfig(text, salt, "f");
      expect(copy.text).toBe(text);
      expect(copy.ownSecrets).toBe(true);
    },
  );

  it("names the place of a YAML mistake", () => {
    const wrong = "config:\n  a: [1\n b: 2\n";
    expect(() => stackConfig(wrong, salt, "Pulumi.dev.yaml")).toThrowError(
      expect.objectContaining({ code: "TOOL-CONFIG-YAML" }),
    );
    try {
      stackConfig(wrong, salt, "Pulumi.dev.yaml");
    } catch (error) {
      expect((error as InfraError).problems[0]).toMatchObject({
        file: "Pulumi.dev.yaml",
        path: "line 3, column 2",
      });
    }
  });

  it.each(["- a\n- b\n", "just text\n"])("refuses what is no mapping: %j", (text) => {
    expect(() => stackConfig(text, salt, "f")).toThrowError(InfraError);
  });
});

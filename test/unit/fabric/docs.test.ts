// docs/fabric.md has every option; errors.test.ts holds that it has every code.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = join(__dirname, "../../..");
const page = readFileSync(join(root, "docs/fabric.md"), "utf8");

/** The first cells of the table whose head begins so, each split at commas. */
function options(head: string): string[] {
  const lines = page.split("\n");
  const from = lines.findIndex((line) => line.startsWith(`| ${head} `));
  const rows = lines.slice(from + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith("|")),
    )
    .flatMap((line) => (line.split("|")[1] ?? "").split(","))
    .map((name) => name.replace("interfaces[].", "").trim());
}

/** The members of an interface in a source of infra/fabric. */
function members(file: string, name: string): string[] {
  const path = join(root, "infra/fabric", file);
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const found = source.statements.filter(ts.isInterfaceDeclaration).find((s) => s.name.text === name);
  if (found === undefined) throw new Error(`no interface ${name} in ${file}`);
  return found.members.map((m) => m.name?.getText() ?? "");
}

describe("docs/fabric.md", () => {
  it.each([
    ["of a slice", members("slice.ts", "FabricSliceArgs")],
    ["of a node", members("node-spec.ts", "NodeSpec")],
    [
      "of a network",
      [...members("network-spec.ts", "NetworkSpec"), ...members("network-spec.ts", "InterfaceSpec")],
    ],
  ])("has every option %s, and no other", (head, names) => {
    expect(options(head).sort()).toEqual(names.filter((n) => n !== "interfaces").sort());
  });

  it("has every name that is read from fabric_rc", () => {
    const sources = ["credentials.ts", "ssh-credentials.ts"].map((f) =>
      readFileSync(join(root, "infra/fabric", f), "utf8"),
    );
    const names = new Set(sources.join("\n").match(/FABRIC_[A-Z_]+/g));
    expect(names.size).toBeGreaterThan(5);
    expect(options("name").sort()).toEqual([...names].sort());
  });
});

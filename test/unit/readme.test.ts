import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";

const root = join(__dirname, "../..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
/** What people read; docs/api is made from the sources. */
const pages: readonly string[] = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md") && !file.startsWith("api/"))
    .map((file) => `docs/${file}`)
    .sort(),
];

/** Every match of a pattern in the pages, as `page: text` where `isFine` says no. */
function strangers(pattern: RegExp, isFine: (...groups: string[]) => boolean): string[] {
  return pages.flatMap((page) =>
    [...read(page).matchAll(pattern)]
      .filter(([, ...groups]) => !isFine(...groups.map((g) => g ?? "")))
      .map(([text]) => `${page}: ${text.trim()}`),
  );
}

describe("what README.md and docs/ tell to run", () => {
  const scripts: Readonly<Record<string, string>> = JSON.parse(read("package.json")).scripts;
  const cli = "dynamos/cli";
  const own: Readonly<Record<string, string>> = { bench: "test/bench/main.ts" };
  const sourceOf = (command: string): string => {
    const file = own[command] ?? `${cli}/${command}.ts`;
    return existsSync(join(root, file)) ? read(file) : "";
  };

  it("is a script of package.json", () => {
    expect(strangers(/\bnpm run ([a-z][\w:-]*)/g, (name = "") => scripts[name] !== undefined)).toEqual([]);
    expect(scripts.test, "npm test").toBeDefined();
    expect(read("README.md")).toMatch(/npm run up\b[\s\S]*npm test\b/);
  });

  it("gives options that the command knows", () => {
    const known = (command: string, rest: string): boolean => {
      const source = sourceOf(command);
      const given = rest.split(/\s+/).filter((word) => /^--?[a-z]/.test(word));
      // These hand on to the engine what they do not know.
      return (
        source.includes(".allowUnknownOption()") ||
        given.every((option) =>
          new RegExp(`"[^"]*${option}\\b|\\b${option.slice(2)}: \\{ type:`).test(source),
        )
      );
    };
    expect(
      strangers(/\bnpm run ([a-z]+) -- ([^`\n#]+)/g, (command = "", rest = "") => known(command, rest)),
    ).toEqual([]);
  });

  it("is a command of dynamos-fabric", () => {
    const commands = readdirSync(join(root, cli)).flatMap((file) =>
      file.endsWith(".ts")
        ? [...read(`${cli}/${file}`).matchAll(/\.command\("([a-z-]+)/g)].map(([, name]) => name)
        : [],
    );
    expect(commands.length).toBeGreaterThan(5);
    expect(strangers(/`dynamos-fabric ([a-z-]+)/g, (name) => commands.includes(name))).toEqual([]);
  });
});

describe("the TypeScript programs of README.md and docs/", () => {
  const programs = new Map<string, string>();
  for (const page of pages) {
    for (const [i, [, text = ""]] of [...read(page).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].entries()) {
      programs.set(join(root, `${page.replaceAll("/", "-")}-${i + 1}.ts`), text);
    }
  }
  const ten = "examples/existing-cluster/index.mjs";
  programs.set(join(root, ten.replaceAll("/", "-")), read(ten));
  // The check itself must see a mistake.
  const wrong = join(root, "wrong.ts");
  programs.set(
    wrong,
    'import { FabricSlice } from "dynamos-fabric/infra";\nnew FabricSlice("a", { nodes: {}, leese: "14d" });\n',
  );
  const found = new Map<string, string[]>();

  beforeAll(() => {
    const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(
      { ...config.config, include: [], files: [] },
      ts.sys,
      root,
    );
    // The entries of package.json's `exports`, by their sources: dist may be older.
    const paths = {
      "dynamos-fabric/infra": [join(root, "infra/index.ts")],
      "dynamos-fabric/dynamos": [join(root, "dynamos/index.ts")],
      "dynamos-fabric/client": [join(root, "dynamos/client/index.ts")],
      "dynamos-fabric/kubernetes": [join(root, "dynamos/kubernetes/index.ts")],
      "dynamos-fabric/microservice": [join(root, "policy/sidecar/index.ts")],
      "dynamos-fabric/microservices": [join(root, "policy/microservices/index.ts")],
    };
    const host = ts.createCompilerHost({ ...options, paths });
    const { fileExists, readFile, getSourceFile } = host;
    host.fileExists = (file) => programs.has(file) || fileExists(file);
    host.readFile = (file) => programs.get(file) ?? readFile(file);
    host.getSourceFile = (file, version, ...rest) => {
      const text = programs.get(file);
      return text === undefined
        ? getSourceFile(file, version, ...rest)
        : ts.createSourceFile(file, text, version);
    };
    // An example may be JavaScript, whose calls are checked all the same.
    const checked = { ...options, paths, allowJs: true, checkJs: true };
    const program = ts.createProgram([...programs.keys()], checked, host);
    for (const file of programs.keys()) {
      const source = program.getSourceFile(file);
      const diagnostics = [
        ...program.getSyntacticDiagnostics(source),
        ...program.getSemanticDiagnostics(source),
      ];
      found.set(
        file,
        diagnostics.map(({ messageText, start = 0 }) => {
          const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
          return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
        }),
      );
    }
  }, 120_000);

  it("are there", () => {
    expect([...programs.keys()].some((file) => file.includes("README.md"))).toBe(true);
  });

  it.each([...programs.keys()].filter((file) => file !== wrong).map((file) => file.slice(root.length + 1)))(
    "%s type-checks",
    (name) => {
      expect(found.get(join(root, name))).toEqual([]);
    },
  );

  it("would not, with a misspelt argument", () => {
    expect(found.get(wrong)?.join()).toMatch(/leese/);
  });
});

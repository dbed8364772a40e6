import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";

const root = join(__dirname, "../..");
const rooms = ["infra", "dynamos", "policy"];
/** FABRIC's have a page of their own, with all else that a user of FABRIC needs. */
const pages = ["docs/errors.md", "docs/fabric.md"];
const page = pages.join(" or ");

/** The prefixes of docs/architecture.md and those that came since. A `code:` with another one is found all the same. */
const prefixes = "SPEC|FAB|LOC|TOOL|CMD|INF|POL|DOC|GW|ORC|AGT|JOB|BUS|STO|CFG|EXP|AUD|SQL|TAB|USR|CLU|K8S";
const code = new RegExp(`(?<![\\w-])(?:${prefixes})-[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*(?![\\w-])`, "g");
const wholeCode = /^[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)*$/;

/**
 * Codes that no literal holds, because a template puts them together, by the file that does so. `*` stands for each prefix that a service gives
 * to createHttp as `codes`.
 */
const composed: Readonly<Record<string, readonly string[]>> = {
  "policy/setup/document-drift.ts": [
    "DOC-CONFLICT",
    "DOC-DRIFT",
    "POL-AGREEMENT-CONFLICT",
    "POL-AGREEMENT-DRIFT",
  ],
  "policy/platform/health.ts": [
    "*-NOT-READY",
    "*-NOT-FOUND",
    "*-JSON",
    "*-TOO-LARGE",
    "*-MEDIA-TYPE",
    "*-REQUEST",
  ],
};
/** Literals that look like a code and are a piece of a composed one. */
const pieces: readonly string[] = ["POL-AGREEMENT"];

/** What one source says about codes. */
interface Found {
  readonly codes: readonly string[];
  /** Values of `codes:`, the prefixes that createHttp puts before its own. */
  readonly httpPrefixes: readonly string[];
  /** Whether a `code:` is put together by a template. */
  readonly composes: boolean;
}

/** Reads literals only: what a comment or a regular expression names is no code that anybody gets. */
function readCodes(file: string, text: string): Found {
  const codes = new Set<string>();
  const httpPrefixes = new Set<string>();
  let composes = false;
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      for (const [found] of node.text.matchAll(code)) codes.add(found);
    }
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) {
      const { initializer: value } = node;
      if (node.name.text === "code") {
        composes ||= ts.isTemplateExpression(value);
        if (ts.isStringLiteralLike(value) && wholeCode.test(value.text)) codes.add(value.text);
      }
      if (node.name.text === "codes" && ts.isStringLiteralLike(value)) httpPrefixes.add(value.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, false));
  return { codes: [...codes], httpPrefixes: [...httpPrefixes], composes };
}

/** The codes in the first column of the page's tables, with the rest of their row. */
function readPage(text: string): { readonly code: string; readonly cells: readonly string[] }[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => {
      const [first = "", ...cells] = line
        .replace(/^\||\|$/g, "")
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim());
      return [...first.matchAll(/`([A-Z][A-Z0-9-]+)`/g)].map(([, name = ""]) => ({ code: name, cells }));
    });
}

const places = new Map<string, string[]>();
const composers: string[] = [];
let rows: ReturnType<typeof readPage> = [];

beforeAll(() => {
  const add = (name: string, file: string): void => {
    places.set(name, [...(places.get(name) ?? []), file]);
  };
  const httpPrefixes = new Map<string, string>();
  for (const room of rooms) {
    for (const entry of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      const file = `${room}/${entry}`;
      if (!/\.(ts|mts|mjs|cjs)$/.test(file) || file.includes("/generated/")) continue;
      const found = readCodes(file, readFileSync(join(root, file), "utf8"));
      for (const name of found.codes) if (!pieces.includes(name)) add(name, file);
      for (const prefix of found.httpPrefixes) httpPrefixes.set(prefix, file);
      if (found.composes) composers.push(file);
    }
  }
  for (const [file, names] of Object.entries(composed)) {
    for (const name of names) {
      if (!name.startsWith("*")) add(name, file);
      else for (const [prefix, by] of httpPrefixes) add(name.replace("*", prefix), `${file} for ${by}`);
    }
  }
  rows = pages.flatMap((file) => readPage(readFileSync(join(root, file), "utf8")));
});

describe("docs/errors.md and docs/fabric.md", () => {
  it("have FABRIC's codes in the latter, and no others", () => {
    const [errors, fabric] = pages.map((file) =>
      readPage(readFileSync(join(root, file), "utf8")).map((row) => row.code),
    );
    expect(errors?.filter((name) => name.startsWith("FAB-"))).toEqual([]);
    expect(fabric?.filter((name) => !name.startsWith("FAB-"))).toEqual([]);
  });

  it("has a row for every code of the sources", () => {
    const known = new Set(rows.map((row) => row.code));
    const missing = [...places]
      .filter(([name]) => !known.has(name))
      .sort()
      .map(([name, files]) => `| \`${name}\` | meaning | remedy |   from ${[...new Set(files)].join(", ")}`);
    expect(
      missing,
      `add these rows to ${page}, with what the code means and what to do:\n${missing.join("\n")}\n`,
    ).toEqual([]);
  });

  it("has no row for a code that no source has", () => {
    const gone = rows.map((row) => row.code).filter((name) => !places.has(name));
    expect(
      gone,
      `take these out of ${page}; or, when a template puts them together, add them to \`composed\` in ${__filename}: ${gone.join(", ")}\n`,
    ).toEqual([]);
  });

  it("says of each code, once, what it means and what to do", () => {
    const twice = rows.map((row) => row.code).filter((name, i, all) => all.indexOf(name) !== i);
    expect(twice, `these have two rows in ${page}`).toEqual([]);
    const thin = rows.filter(
      ({ cells }) =>
        cells.length !== 2 || cells.some((cell) => cell.length < 3 || /^(meaning|remedy)$/.test(cell)),
    );
    expect(
      thin.map((row) => row.code),
      `these rows of ${page} need three cells: code, meaning, remedy`,
    ).toEqual([]);
  });

  it("knows every place where a template puts a code together", () => {
    const unknown = composers.filter((file) => composed[file] === undefined);
    expect(
      unknown,
      `write the code out, or add these files with their codes to \`composed\` in ${__filename}`,
    ).toEqual([]);
    const idle = Object.keys(composed).filter((file) => !composers.includes(file));
    expect(idle, "these files of `composed` put no code together any more").toEqual([]);
  });
});

describe("the search for codes", () => {
  it("reads literals and templates, not comments, regular expressions and device names", () => {
    const sample = `
      /** FAB-COMMENT */
      const a = new Failure(\`TOOL-ONE  no \${what}; see LOC-TWO\`); // GW-THREE
      const b = { code: "NEW-FOUR" };
      const c = /^(ORC-FIVE|JOB-SIX)$/;
      const d = ["GPU-A30", "-LOC-SEVEN", "dynamos-FAB-EIGHT"];`;
    expect(readCodes("sample.ts", sample)).toEqual({
      codes: ["TOOL-ONE", "LOC-TWO", "NEW-FOUR"],
      httpPrefixes: [],
      composes: false,
    });
  });

  it("sees a prefix of createHttp, and a code that a template puts together", () => {
    expect(readCodes("sample.ts", `app({ codes: "GW" }); throw { code: \`\${codes}-JSON\` };`)).toEqual({
      codes: [],
      httpPrefixes: ["GW"],
      composes: true,
    });
  });
});

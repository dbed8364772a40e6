import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { requestTypesSource } from "../../../dynamos/client/request-types.js";
import type { RequestType } from "../../../policy/contract/documents.js";

const examples = join(__dirname, "../../../examples");
const type = (path: string): RequestType =>
  JSON.parse(readFileSync(join(examples, path), "utf8")) as RequestType;

/** What the compiler says of a program that begins with the types. */
function mistakes(program: string): string[] {
  const options: ts.CompilerOptions = { strict: true, noEmit: true, types: [], lib: ["lib.es2022.d.ts"] };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === "program.ts"
      ? ts.createSourceFile(name, program, ts.ScriptTarget.ES2022)
      : getSourceFile(name, ...rest);
  const found = ts.getPreEmitDiagnostics(ts.createProgram(["program.ts"], options, host));
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

describe("the types of an experiment's requests", () => {
  it("let the compiler find a wrong field, a missing one and a wrong type of request", async () => {
    const source = await requestTypesSource([
      type("universities/requestTypes/sqlDataRequest.json"),
      type("titanic/requestTypes/vflTrainRequest.json"),
    ]);
    const using = (value: string): string[] => mistakes(`${source}export const data: ${value};\n`);
    const sql = 'Requests["sqlDataRequest"] = ';
    expect(using(`${sql}{ query: "SELECT 1", combine: "SELECT 2", parameters: { a: 1 } }`)).toEqual([]);
    expect(using(`${sql}{ query: 1, combine: "" }`).join()).toContain("not assignable to type 'string'");
    expect(using(`${sql}{ query: "" }`).join()).toContain("'combine' is missing");
    expect(using(`${sql}{ query: "", combine: "", more: 1 }`).join()).toContain("'more' does not exist");
    expect(using('Requests["sqlRequest"] = {}').join()).toContain("'sqlRequest' does not exist");
  });

  it("are the same whatever order the documents come in, and tell two alike names apart", async () => {
    const schema = { type: "object", properties: { n: { type: "integer" } } };
    const types = ["a.b", "a-b", "requests"].map(
      (name): RequestType => ({ name, requiredServices: [], schema }),
    );
    const source = await requestTypesSource(types);
    expect(await requestTypesSource([...types].reverse())).toBe(source);
    expect(source).toContain('"a-b": AB;');
    expect(source).toContain('"a.b": AB2;');
    expect(source).toContain('"requests": Requests2;');
  });

  it("are made without fetching or reading what a schema points to", async () => {
    for (const $ref of ["file:///etc/hostname", "http://127.0.0.1:1/x.json"]) {
      const schema = { type: "object", properties: { x: { $ref } } };
      await expect(requestTypesSource([{ name: "t", requiredServices: [], schema }])).rejects.toThrow();
    }
  });
});

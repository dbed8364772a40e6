import { describe, expect, it } from "vitest";
import { parseServiceSpec, serviceSpecProblems } from "../../../infra/local/service-schema.js";

const good = {
  name: "store",
  node: "core",
  command: ["{{tool:etcd}}"],
  ports: { client: 0 },
  ready: { tcp: "client" },
};
const paths = (value: unknown) => serviceSpecProblems(value).map((p) => `${p.code} ${p.path}`);

describe("serviceSpecProblems", () => {
  it("accepts what ServiceSpec allows", () => {
    expect(paths(good)).toEqual([]);
    const full = {
      ...good,
      env: { A_1: "x" },
      files: [{ path: "a/b.c", content: "" }],
      needs: ["b"],
      startSeconds: 0.5,
      stopSeconds: 1,
    };
    expect(paths({ ...full, ready: { http: "client", path: "/health" } })).toEqual([]);
  });

  it.each([
    ["a name with capitals", { name: "Store" }, "LOC-SPEC name"],
    ["no program", { command: [] }, "LOC-SPEC command"],
    ["a port too high", { ports: { client: 70000 } }, "LOC-SPEC ports.client"],
    ["a file above the folder", { files: [{ path: "a/../../b", content: "" }] }, "LOC-SPEC files[0].path"],
    ["an absolute file", { files: [{ path: "/etc/passwd", content: "" }] }, "LOC-SPEC files[0].path"],
    ["a ready check on no port", { ready: { tcp: "constructor" } }, "LOC-SPEC ready"],
    ["a time below zero", { stopSeconds: -1 }, "LOC-SPEC stopSeconds"],
    ["a variable with =", { env: { "A=B": "" } }, "LOC-SPEC env.A=B"],
    ["itself as a need", { needs: ["store"] }, "LOC-CYCLE needs[0]"],
    ["an unknown placeholder", { env: { A: "{{x}}" } }, "LOC-TEMPLATE env.A"],
  ])("tells of %s, with its place", (_what, change, expected) => {
    expect(paths({ ...good, ...change })).toEqual([expected]);
  });

  it("tells all problems at once, and of things that are no specification", () => {
    expect(paths({ ...good, node: 1, command: "x" })).toEqual(["LOC-SPEC node", "LOC-SPEC command"]);
    for (const value of [undefined, null, 3, "x", []]) expect(paths(value)).toHaveLength(1);
  });

  it("parse puts the service's name before each path", () => {
    expect(() => parseServiceSpec({ ...good, node: 1 })).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ path: "store.node" })] }),
    );
    expect(parseServiceSpec(good)).toBe(good);
  });
});

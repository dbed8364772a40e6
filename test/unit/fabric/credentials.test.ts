import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  expandHome,
  parseRc,
  projectTags,
  readSettings,
  readToken,
} from "../../../infra/fabric/credentials.js";
import { ensureMark, forgetMark } from "../../../infra/fabric/mark-file.js";
import { InfraError } from "../../../infra/problem.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (claims: object) => `${part({ alg: "RS256" })}.${part(claims)}.c2lnbmF0dXJl`;
const problem = (work: () => unknown): InfraError => {
  try {
    work();
  } catch (error) {
    if (error instanceof InfraError) return error;
    throw error;
  }
  throw new Error("no error");
};

describe("fabric_rc", () => {
  it("is read as a shell would, running nothing", () => {
    const text = `# comment
export FABRIC_PROJECT_ID=abc # the project
export FABRIC_TOKEN_LOCATION=\${HOME}/tokens.json
export A="with space"
export B='$HOME'
export C=$A/x
export D=$(touch /tmp/never)
not a line`;
    expect(parseRc(text, { HOME: "/home/u" })).toEqual({
      FABRIC_PROJECT_ID: "abc",
      FABRIC_TOKEN_LOCATION: "/home/u/tokens.json",
      A: "with space",
      B: "$HOME",
      C: "with space/x",
      D: "$(touch /tmp/never)",
    });
  });

  it("goes before the environment, which goes before FABlib's defaults", () => {
    const rc = file("rc", "export FABRIC_TOKEN_LOCATION=~/t.json\n");
    const env = {
      HOME: folder,
      FABRIC_TOKEN_LOCATION: "/env.json",
      FABRIC_ORCHESTRATOR_HOST: "orchestrator.test",
    };
    expect(readSettings(rc, env)).toEqual({
      host: "orchestrator.test",
      tokenFile: join(folder, "t.json"),
      publicKeyFile: join(folder, "work/fabric_config/slice_key.pub"),
    });
    expect(readSettings(undefined, { HOME: folder })).toEqual({
      host: "orchestrator.fabric-testbed.net",
      tokenFile: join(folder, ".tokens.json"),
      publicKeyFile: join(folder, "work/fabric_config/slice_key.pub"),
    });
    mkdirSync(join(folder, "work/fabric_config"), { recursive: true });
    file("work/fabric_config/fabric_rc", "FABRIC_PROJECT_ID=p1");
    expect(readSettings(undefined, { HOME: folder }).projectId).toBe("p1");
  });

  it("that was named and is missing is an error", () => {
    expect(problem(() => readSettings(join(folder, "none"), {})).code).toBe("FAB-RC-MISSING");
  });

  it("knows the home folder", () => {
    expect(expandHome("~/a/b", { HOME: "/h" })).toBe("/h/a/b");
    expect(expandHome("~", { HOME: "/h" })).toBe("/h");
    expect(expandHome("/x", { HOME: "/h" })).toBe("/x");
  });
});

describe("a token file", () => {
  const now = new Date("2026-11-22T12:00:00Z");
  const valid = token({ exp: now.getTime() / 1000 + 3600, projects: [{ uuid: "u", tags: ["VM.NoLimit"] }] });

  it("holds an id token, alone or beside the refresh token", () => {
    expect(readToken(file("a", `${valid}\n`), now)).toBe(valid);
    expect(
      readToken(file("b", JSON.stringify({ id_token: valid, refresh_token: "r", created_at: "x" })), now),
    ).toBe(valid);
    expect(projectTags(valid)).toEqual(["VM.NoLimit"]);
    expect(projectTags(token({}))).toBeUndefined();
    expect(projectTags("no token")).toBeUndefined();
  });

  it("that is missing, empty or old is told, without the token in the message", () => {
    const old = token({ exp: now.getTime() / 1000 - 1 });
    const errors = [
      problem(() => readToken(join(folder, "none"), now)),
      problem(() => readToken(file("c", "{}"), now)),
      problem(() => readToken(file("d", `{"id_token": "${valid}"`), now)),
      problem(() => readToken(file("e", "hello"), now)),
      problem(() => readToken(file("f", old), now)),
    ];
    expect(errors.map((e) => e.code)).toEqual([
      "FAB-TOKEN-MISSING",
      "FAB-TOKEN-INVALID",
      "FAB-TOKEN-INVALID",
      "FAB-TOKEN-INVALID",
      "FAB-TOKEN-EXPIRED",
    ]);
    for (const e of errors) {
      expect(e.message).not.toContain(valid.slice(0, 20));
      expect(e.problems[0]?.remedy).toBeDefined();
    }
  });
});

describe("a slice's mark", () => {
  const owner = { project: "p", stack: "dev" };

  it("is made once and kept", () => {
    const made = ensureMark(folder, "p-dev", owner);
    expect(made).toMatchObject(owner);
    expect(ensureMark(folder, "p-dev", owner)).toEqual(made);
    expect(ensureMark(folder, "p-other", owner).id).not.toBe(made.id);
    forgetMark(folder, "p-dev");
    expect(ensureMark(folder, "p-dev", owner).id).not.toBe(made.id);
    forgetMark(folder, "never-made");
  });

  it("that cannot be read is told, not made anew", () => {
    mkdirSync(join(folder, "slices"));
    file("slices/p-dev.json", "{}");
    expect(problem(() => ensureMark(folder, "p-dev", owner)).code).toBe("FAB-MARK-DAMAGED");
  });
});

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expandHome, parseRc, projectTags, readSettings } from "../../../infra/fabric/credentials.js";
import { ensureMark, forgetMark } from "../../../infra/fabric/mark-file.js";
import { readPublicKey, readSshCredentials } from "../../../infra/fabric/ssh-credentials.js";
import { readTokenFile } from "../../../infra/fabric/token-file.js";
import { currentToken } from "../../../infra/fabric/token-refresh.js";
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
    const config = (name: string) => join(folder, "work/fabric_config", name);
    const common = {
      credmgrHost: "cm.fabric-testbed.net",
      publicKeyFile: config("slice_key.pub"),
      privateKeyFile: config("slice_key"),
      bastionHost: "bastion.fabric-testbed.net",
      bastionKeyFile: config("fabric_bastion_key"),
    };
    expect(readSettings(rc, env)).toEqual({
      ...common,
      host: "orchestrator.test",
      tokenFile: join(folder, "t.json"),
    });
    expect(readSettings(undefined, { HOME: folder })).toEqual({
      ...common,
      host: "orchestrator.fabric-testbed.net",
      tokenFile: join(folder, ".tokens.json"),
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
  const end = now.getTime() / 1000 + 3600;
  const valid = token({ exp: end, projects: [{ uuid: "u", tags: ["VM.NoLimit"] }] });
  const current = (path: string) => currentToken(path, now.getTime());

  it("holds an id token, alone or beside the refresh token", () => {
    expect(readTokenFile(file("a", `${valid}\n`))).toEqual({
      idToken: valid,
      expiresAt: new Date(end * 1000),
    });
    const both = file("b", JSON.stringify({ id_token: valid, refresh_token: "r", created_at: "x" }));
    expect(readTokenFile(both).refreshToken).toBe("r");
    expect(current(both)).toBe(valid);
    expect(projectTags(valid)).toEqual(["VM.NoLimit"]);
    expect(projectTags(token({}))).toBeUndefined();
    expect(projectTags("no token")).toBeUndefined();
  });

  it("that is missing, empty or old is told, without the token in the message", () => {
    const old = token({ exp: now.getTime() / 1000 - 1 });
    const errors = [
      problem(() => current(join(folder, "none"))),
      problem(() => current(file("c", "{}"))),
      problem(() => current(file("d", `{"id_token": "${valid}"`))),
      problem(() => current(file("e", "hello"))),
      problem(() => current(file("f", old))),
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
      expect(e.problems[0]?.remedy).toContain("https://cm.fabric-testbed.net");
    }
    // one that can be refreshed is good enough for checks ahead
    expect(current(file("g", JSON.stringify({ id_token: old, refresh_token: "r" })))).toBe(old);
  });
});

describe("keys", () => {
  const privateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
  const key = (name: string, text = privateKey, mode = 0o600) => {
    const path = file(name, text);
    chmodSync(path, mode);
    return path;
  };
  const settings = (values: Readonly<Record<string, string>>) =>
    readSettings(file("rc", Object.entries(values).map(([k, v]) => `export ${k}=${v}`).join("\n")), { HOME: folder }); // biome-ignore format: one line

  it("are read for who writes an ssh_config", () => {
    const rc = {
      FABRIC_BASTION_HOST: "bastion.test",
      FABRIC_BASTION_USERNAME: "ada_0001",
      FABRIC_BASTION_KEY_LOCATION: key("bastion"),
      FABRIC_SLICE_PRIVATE_KEY_FILE: key("slice", privateKey.replaceAll("OPENSSH", "RSA")),
    };
    expect(readSshCredentials(settings(rc))).toEqual({
      bastion: { host: "bastion.test", user: "ada_0001", keyFile: join(folder, "bastion") },
      sliceKeyFile: join(folder, "slice"),
    });
  });

  it("that ssh or FABRIC would refuse are told all at once, each with what to do", () => {
    const wrong = (rc: Readonly<Record<string, string>>) =>
      problem(() => readSshCredentials(settings(rc))).problems.map((p) => [p.code, p.remedy !== undefined]);
    expect(wrong({})).toEqual([
      ["FAB-BASTION-USER", true],
      ["FAB-KEY-MISSING", true],
      ["FAB-KEY-MISSING", true],
    ]);
    const open = key("open", privateKey, 0o644);
    expect(
      wrong({
        FABRIC_BASTION_USERNAME: "u",
        FABRIC_BASTION_KEY_LOCATION: open,
        FABRIC_SLICE_PRIVATE_KEY_FILE: key("slice.pub", "ssh-ed25519 AAAA x"),
      }),
    ).toEqual([
      ["FAB-KEY-OPEN", true],
      ["FAB-KEY-INVALID", true],
    ]);
    const both = key("both");
    expect(
      wrong({
        FABRIC_BASTION_USERNAME: "u",
        FABRIC_BASTION_KEY_LOCATION: both,
        FABRIC_SLICE_PRIVATE_KEY_FILE: both,
      }),
    ).toEqual([["FAB-KEY-SAME", true]]);
  });

  it("are never sent when they are private", () => {
    expect(readPublicKey(key("a.pub", "ssh-ed25519 AAAA ada's key\n"))).toBe("ssh-ed25519 AAAA ada's key");
    const error = problem(() => readPublicKey(key("b.pub")));
    expect([error.code, error.message]).toEqual([
      "FAB-KEY-INVALID",
      expect.stringContaining("this is a private key"),
    ]);
    expect(error.message).not.toContain("AAAA");
    expect(problem(() => readPublicKey(key("c.pub", "hello\nssh-ed25519 AAAA"))).code).toBe(
      "FAB-KEY-INVALID",
    );
    expect(problem(() => readPublicKey(join(folder, "none"))).code).toBe("FAB-KEY-MISSING");
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

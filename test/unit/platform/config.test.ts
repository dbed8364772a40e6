import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  baseConfig,
  busOptions,
  ConfigError,
  isOpenToOthers,
  readConfig,
} from "../../../policy/platform/config.js";

let folder: string;
const schema = z.object(baseConfig);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "config "));
  writeFileSync(join(folder, "password"), "s3cret\n", { mode: 0o600 });
  writeFileSync(join(folder, "open"), "s3cret\n");
  chmodSync(join(folder, "open"), 0o644);
  writeFileSync(join(folder, "empty"), "\n", { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const environment = (more: Record<string, string | undefined> = {}) => ({
  SERVICE_NAME: "policy-enforcer",
  AMQP_HOST: "127.0.0.1",
  AMQP_PORT: "5672",
  AMQP_USER: "policy-enforcer",
  AMQP_PASSWORD_FILE: join(folder, "password"),
  ETCD_ENDPOINT: "127.0.0.1:2379",
  HTTP_PORT: "0",
  ...more,
});

const problems = (more: Record<string, string | undefined>) => {
  try {
    readConfig(schema, environment(more));
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe("readConfig", () => {
  it("reads the environment of a service, the password from its file", () => {
    const config = readConfig(schema, environment({ UNRELATED: "x" }));
    expect(config).toMatchObject({
      AMQP_PORT: 5672,
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: 0,
      LOG_LEVEL: "info",
    });
    expect(busOptions(config)).toEqual({
      host: "127.0.0.1",
      port: 5672,
      user: "policy-enforcer",
      password: "s3cret",
      service: "policy-enforcer",
    });
  });

  it("tells all problems at once, by the variable's name", () => {
    const found = problems({
      AMQP_PORT: "many",
      AMQP_USER: undefined,
      ETCD_ENDPOINT: "http://127.0.0.1:2379",
      LOG_LEVEL: "loud",
      HTTP_PORT: "70000",
    });
    expect(found.map((p) => p.path)).toEqual([
      "AMQP_PORT",
      "AMQP_USER",
      "ETCD_ENDPOINT",
      "HTTP_PORT",
      "LOG_LEVEL",
    ]);
  });

  it.each([
    ["open", "can be read by others"],
    ["empty", "is empty"],
    ["absent", "cannot be read (ENOENT)"],
  ])("refuses a password file that is %s", (name, message) => {
    const [problem, ...rest] = problems({ AMQP_PASSWORD_FILE: join(folder, name) });
    expect([problem?.path, rest]).toEqual(["AMQP_PASSWORD_FILE", []]);
    expect(problem?.message).toContain(message);
    expect(problem?.message).not.toContain("s3cret");
  });
});

describe("a secret's file", () => {
  it("may be read by our group only where it belongs to somebody else, as a Kubernetes volume does", () => {
    const self = { uid: 10_001, gid: 10_001 };
    const open = (mode: number, uid: number, gid: number) => isOpenToOthers({ mode, uid, gid }, self);
    expect(open(0o100600, 10_001, 10_001)).toBe(false);
    expect(open(0o100440, 0, 10_001)).toBe(false);
    expect(open(0o100440, 10_001, 10_001)).toBe(true);
    expect(open(0o100440, 0, 0)).toBe(true);
    expect(open(0o100444, 0, 10_001)).toBe(true);
  });
});

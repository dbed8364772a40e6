/** The whole program for the paper's stack on FABRIC: its slice, its commands and its objects, as files that a review shows the changes of. */
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { deploy } from "../../../dynamos/deploy.js";
import { OUR_IMAGES } from "../../../dynamos/images/names.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";

interface Made {
  readonly type: string;
  readonly name: string;
  readonly inputs: unknown;
}
const folder = mkdtempSync(join(tmpdir(), "whole program "));
const sites = ["AMST", "LOSA", "TOKY"];
const nodes = ["clientone", "clientthree", "clienttwo", "control", "core", "server"];
/** How the engine is told that a value is a secret. Source: Pulumi SDK, `rpc.specialSigKey`. */
const SIGNATURE = "4dabf18193072939515e22adb298388d";

/** One run with keys, passwords and identifiers of its own, as each real one has. */
async function run(): Promise<readonly Made[]> {
  const made: Made[] = [];
  for (const name of ["bastion", "slice"]) {
    const pair = makeSshKeyPair(name);
    writeFileSync(join(folder, name), pair.privateKey, { mode: 0o600 });
    writeFileSync(join(folder, `${name}.pub`), `${pair.publicKey}\n`);
  }
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        made.push({ type, name, inputs: withoutSecrets(inputs) });
        const site = sites.indexOf(String(inputs.site)) + 1;
        const number = nodes.indexOf(String(inputs.name)) + 1;
        const known = {
          gateway: `10.13${site}.1.1`,
          subnet: `10.13${site}.1.0/24`,
          managementIp: `2001:db8::${number}`,
          addresses: [`10.13${site}.1.${number + 10}`],
          mac: `02:00:00:00:00:0${number}`,
          sliverId: randomUUID(),
          value: randomUUID(),
          ports: { api: 6443 },
          stdout: name.endsWith("-kubeconfig") ? kubeconfig() : `ssh-ed25519 ${randomUUID()}\n`,
        };
        return { id: randomUUID(), state: { ...inputs, ...known } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
    false,
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as Record<string, unknown>;
  const answer = (_request: unknown, settle: (error: null, response: unknown) => void) => settle(null, {});
  monitor.registerResourceHook = answer; // mocks know no hooks
  monitor.registerErrorHook = answer;
  const { config } = parse(readFileSync("Pulumi.dev.yaml", "utf8")) as { config: Record<string, object> };
  const references = Object.fromEntries(
    OUR_IMAGES.map((name) => [name, { image: `registry.example/${name}:1` }]),
  );
  const marketplace = {
    ...config["dynamos-fabric:marketplace"],
    target: "fabric",
    users: { issuer: "https://login.example.org" },
    kubernetes: { images: { references } },
  };
  pulumi.runtime.setAllConfig({ "dynamos-fabric:marketplace": JSON.stringify(marketplace) });
  await deploy();
  await pulumi.runtime.disconnect();
  return made.sort((a, b) => (`${a.type} ${a.name}` < `${b.type} ${b.name}` ? -1 : 1));
}

const kubeconfig = (): string =>
  stringify({
    clusters: [{ name: "a", cluster: { server: "https://127.0.0.1:6443" } }],
    users: [{ name: "u", user: { token: randomUUID() } }],
    contexts: [{ name: "c", context: { cluster: "a", user: "u" } }],
    "current-context": "c",
  });

const ASSIGNED = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
/** A script's own, of all that it gets: keys too. */
const HASH = /^# [0-9a-f]{64}$/gm;
const KEY = /\b(ssh-\w+|ecdsa-sha2-\w+) [\w+/=[\]-]+/g;

/** Secrets and what servers assign are not compared. */
function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value === "string")
    return value.replaceAll(ASSIGNED, "[assigned]").replaceAll(KEY, "$1 KEY").replaceAll(HASH, "# [hash]");
  if (!(value instanceof Object)) return value;
  if (SIGNATURE in value) return "[secret]";
  const parts = Object.entries(value).filter(([key]) => key !== "__provider");
  return Object.fromEntries(parts.map(([key, part]) => [key, withoutSecrets(part)]));
}

/** Scripts are named by what they hold: their own tests show them. What is in a script for this cluster alone, its inventory, is shown. */
function shortened(text: string): string {
  if (text.length <= 2_000) return text;
  const files = [...text.matchAll(/printf %s '([^']*)' >'wanted\.new\/([^']+)'/g)];
  if (files.length > 0) return files.map(([, content, name]) => `# ${name}\n${content}`).join("");
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 12);
  return `${text.length} characters, sha256 ${digest}`;
}

const yaml = (made: readonly Made[], types: RegExp): string =>
  made
    .filter(({ type }) => types.test(type))
    .map(({ type, name, inputs }) => {
      const short = JSON.parse(JSON.stringify(inputs), (_key, part) =>
        typeof part === "string" ? shortened(part) : part,
      );
      return stringify(
        { type, name, inputs: short },
        { lineWidth: 0, sortMapEntries: true, aliasDuplicateObjects: false },
      );
    })
    .join("---\n");

const parts = { slice: /^pulumi-nodejs:dynamic\/fabric:/, commands: /^command:/, objects: /^kubernetes:/ };

beforeAll(() => {
  vi.stubEnv("HOME", folder);
  vi.stubEnv("FABRIC_BASTION_USERNAME", "someone_0001");
  vi.stubEnv("FABRIC_BASTION_KEY_LOCATION", join(folder, "bastion"));
  vi.stubEnv("FABRIC_SLICE_PRIVATE_KEY_FILE", join(folder, "slice"));
  vi.stubEnv("FABRIC_SLICE_PUBLIC_KEY_FILE", join(folder, "slice.pub"));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe("the paper's stack on FABRIC", () => {
  let first: readonly Made[];
  beforeAll(async () => {
    first = await run();
  }, 60_000);

  for (const [part, types] of Object.entries(parts))
    it(`has these ${part}`, async () => {
      // A program that broke off half-way would have none.
      expect(yaml(first, types)).not.toBe("");
      await expect(yaml(first, types)).toMatchFileSnapshot(`__golden__/paper-fabric/${part}.yaml`);
    });

  it("is the same in every run, secrets and what servers assign apart", async () => {
    const second = await run();
    for (const types of Object.values(parts)) expect(yaml(second, types)).toBe(yaml(first, types));
    expect(second.map(({ type, name }) => `${type} ${name}`)).toEqual(
      first.map(({ type, name }) => `${type} ${name}`),
    );
  });

  it("shows no secret", () => {
    const text = Object.values(parts)
      .map((types) => yaml(first, types))
      .join("");
    expect(text).toContain("[secret]");
    expect(text).not.toMatch(/PRIVATE KEY|BEGIN OPENSSH/);
    expect(text).not.toContain(folder);
  });
});

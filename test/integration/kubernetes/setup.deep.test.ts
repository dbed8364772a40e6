import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExperimentDocument } from "../../../dynamos/experiment.js";
import { type KubeObject, ofKind } from "../../../dynamos/kubernetes/objects.js";
import { allObjects, planKubernetes } from "../../../dynamos/kubernetes/plan.js";
import { fillIn } from "../../../dynamos/kubernetes/secrets.js";
import {
  BROKER,
  coreServices,
  DEVELOPMENT_ISSUER,
  EPMD,
  OPERATOR_TOKEN,
  ORCHESTRATOR,
  STORE,
} from "../../../dynamos/services.js";
import { agentKeySecret, STORE_READER, storeSecret } from "../../../dynamos/store-rights.js";
import { ensureSupervisor, StateFolder, shutdownStack } from "../../../infra/local/index.js";
import { agentKeyPair } from "../../../policy/contract/agent-key.js";
import { KEY } from "../../../policy/contract/names.js";
import { DocumentsApi } from "../../../policy/setup/documents-api.js";
import { base64, fromBase64, StoreGateway } from "../../../policy/setup/store-gateway.js";
import { STORE_ROOT, STORE_SETUP } from "../../../policy/setup/store-user.js";
import { imagesOf, USERS } from "../../support/random-market.js";

/** What the Jobs of a cluster do, with the files that the plan gives them, against a real store and orchestrator. */
describe("the Jobs that set a marketplace up on a cluster", () => {
  const folder = mkdtempSync(join(tmpdir(), "setup-"));
  const state = join(folder, ".state/test");
  const secrets = new StateFolder(state);
  const ports: Record<string, Readonly<Record<string, number>>> = {};
  let runs = 0;

  const agreement = (name: string, archetypes: readonly string[]): ExperimentDocument => ({
    kind: "agreement",
    name,
    file: `agreements/${name}.json`,
    value: {
      name,
      relations: {
        "bob@uva.nl": {
          ID: "b",
          requestTypes: ["sum"],
          allowedArchetypes: archetypes,
          allowedComputeProviders: [name],
        },
      },
      computeProviders: [name],
      archetypes,
    },
  });
  const archetype = (name: string): ExperimentDocument => ({
    kind: "archetype",
    name,
    file: `archetypes/${name}.json`,
    value: { name, computeProvider: "other", resultRecipient: "requestor", weight: 1 },
  });
  const others: readonly ExperimentDocument[] = [
    archetype("near"),
    archetype("far"),
    {
      kind: "requestType",
      name: "sum",
      file: "requestTypes/sum.json",
      value: { name: "sum", requiredServices: [] },
    },
  ];
  const plan = (
    documents: readonly ExperimentDocument[],
    ...parties: readonly string[]
  ): readonly KubeObject[] =>
    allObjects(
      planKubernetes({
        placement: {
          core: "core",
          agents: parties.map((party) => ({ party, node: party.toLowerCase(), role: "agent" })),
        },
        options: { users: USERS, images: { from: "archive", references: imagesOf() } },
        documents,
      }),
    );
  const jobName = (objects: readonly KubeObject[], task: string): string | undefined =>
    ofKind(objects, "Job").find(({ metadata }) => metadata.labels?.app === task)?.metadata.name;

  /** Runs one Job's container as a process: the same environment, files and secrets, with addresses of this machine. */
  const runJob = async (
    objects: readonly KubeObject[],
    task: string,
  ): Promise<{ code: number; log: string; told: string }> => {
    const job = ofKind(objects, "Job").find(({ metadata }) => metadata.labels?.app === task);
    const pod = job?.spec?.template?.spec;
    runs += 1;
    const mount = join(folder, `run-${runs}`);
    mkdirSync(mount, { mode: 0o700 });
    for (const volume of pod?.volumes ?? []) {
      for (const source of volume.projected?.sources ?? []) {
        const kind = source.secret === undefined ? "ConfigMap" : "Secret";
        const from = source.secret ?? source.configMap;
        const object = ofKind(objects, kind).find(
          ({ metadata }) => metadata.name === from?.name && metadata.namespace === job?.metadata.namespace,
        );
        const texts: Readonly<Record<string, string>> = object === undefined ? {} : "stringData" in object ? (object.stringData ?? {}) : ((object as { data?: Record<string, string> }).data ?? {}); // biome-ignore format: one line
        expect(Object.keys(texts).length, `${kind} ${from?.name}`).toBeGreaterThan(0);
        for (const [key, text] of Object.entries(texts)) {
          const file = join(mount, volume.name, from?.items?.find((item) => item.key === key)?.path ?? key);
          mkdirSync(join(mount, volume.name), { recursive: true });
          const filled = await new Promise<string>((done) => {
            fillIn(text, { value: (name) => pulumi.output(secrets.secret(name)) }).apply(done);
          });
          writeFileSync(file, filled, { mode: 0o600 });
        }
      }
    }
    const env = Object.fromEntries(
      (pod?.containers[0]?.env ?? []).map(({ name, value = "" }) => [
        name,
        value
          .replace("/etc/dynamos/", `${mount}/`)
          .replace("/dev/termination-log", join(mount, "told"))
          .replace("store.dynamos-core.svc:2379", `127.0.0.1:${ports[STORE]?.client}`)
          .replace("orchestrator.dynamos-core.svc:8080", `127.0.0.1:${ports[ORCHESTRATOR]?.http}`),
      ]),
    );
    const main = join(__dirname, "../../../policy/setup/main.ts");
    return await new Promise((done) => {
      const options = { env: { PATH: process.env.PATH, ...env }, cwd: join(__dirname, "../../..") };
      const child = execFile(process.execPath, ["--import", "tsx", main], options, (_error, log) => {
        const told = readFileIfThere(join(mount, "told"));
        done({ code: child.exitCode ?? -1, log, told });
      });
    });
  };
  const root = () =>
    new StoreGateway(`127.0.0.1:${ports[STORE]?.client}`, {
      user: STORE_ROOT,
      password: secrets.secret(storeSecret(STORE_ROOT)),
    });
  const api = () =>
    new DocumentsApi({
      url: `http://127.0.0.1:${ports[ORCHESTRATOR]?.http}`,
      token: secrets.secret(OPERATOR_TOKEN),
    });
  const live = async (name: string): Promise<unknown> => (await api().get("agreement", name))?.document;

  beforeAll(async () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
    const supervisor = await ensureSupervisor(state, folder);
    for (const spec of coreServices({ placement: { core: "core", agents: [] } })) {
      if (![EPMD, BROKER, STORE, DEVELOPMENT_ISSUER, ORCHESTRATOR].includes(spec.name)) continue;
      ports[spec.name] = (await supervisor.put(spec)).ports;
      if (spec.name !== STORE) continue;
      const done = await runJob(plan([], "ClientOne", "clienttwo"), "store-users");
      expect(done, done.log).toMatchObject({ code: 0, told: "" });
    }
  }, 120_000);

  afterAll(async () => {
    await shutdownStack(state);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("lets in exactly the users of the marketplace, and publishes the agents' keys", async () => {
    const { users } = await root().call<{ users: string[] }>("auth/user/list", {});
    const services = ["api-gateway", "orchestrator", "policy-enforcer"];
    expect(users.sort()).toEqual(
      ["agent-clientone", "agent-clienttwo", ...services, STORE_READER, STORE_ROOT, STORE_SETUP].sort(),
    );
    const { kvs } = await root().call<{ kvs?: { value: string }[] }>("kv/range", {
      key: base64(KEY.agentKey("ClientOne")),
    });
    const wanted = agentKeyPair(secrets.secret(agentKeySecret("agent-clientone"))).publicKey;
    expect(JSON.parse(fromBase64(kvs?.[0]?.value ?? ""))).toEqual(wanted);
    const setup = new StoreGateway(`127.0.0.1:${ports[STORE]?.client}`, {
      user: STORE_SETUP,
      password: secrets.secret(storeSecret(STORE_SETUP)),
    });
    await expect(setup.call("kv/put", { key: base64(KEY.agreement("x")), value: "" })).rejects.toThrow(
      /permission denied/,
    );
  });

  it("takes an agent away with its key and brings another, and does not touch those that stay", async () => {
    const before = plan([], "ClientOne", "clienttwo");
    const after = plan([], "ClientOne", "clientthree");
    expect(jobName(after, "store-users")).not.toBe(jobName(before, "store-users"));
    expect(jobName(plan([], "clienttwo", "ClientOne"), "store-users")).toBe(jobName(before, "store-users"));
    const done = await runJob(after, "store-users");
    expect(JSON.parse(done.log.trim())).toMatchObject({
      put: ["agent-clientthree"],
      removed: ["agent-clienttwo"],
    });
    const { kvs = [] } = await root().call<{ kvs?: { key: string }[] }>("kv/range", {
      key: base64(KEY.agentKeyPrefix),
      range_end: base64("/agents/keys0"),
    });
    expect(kvs.map(({ key }) => fromBase64(key))).toEqual([
      KEY.agentKey("ClientOne"),
      KEY.agentKey("clientthree"),
    ]);
    expect(JSON.parse((await runJob(after, "store-users")).log.trim())).toMatchObject({
      put: [],
      removed: [],
    });
  });

  it("puts the documents in force, and a changed one by a new Job", async () => {
    const first = plan([...others, agreement("ada", ["near", "far"]), agreement("bea", ["near"])]);
    expect(await runJob(first, "documents")).toMatchObject({ code: 0 });
    expect(await live("ada")).toEqual(agreement("ada", ["near", "far"]).value);
    const again = await runJob(first, "documents");
    expect(JSON.parse(again.log.trim())).toMatchObject({ written: [], removed: [] });

    const second = plan([...others, agreement("ada", ["near"])]);
    expect(jobName(second, "documents")).not.toBe(jobName(first, "documents"));
    const done = await runJob(second, "documents");
    expect(JSON.parse(done.log.trim())).toMatchObject({
      written: ["agreement ada"],
      removed: ["agreement bea"],
    });
    expect(await live("ada")).toEqual(agreement("ada", ["near"]).value);
    expect(await live("bea")).toBeUndefined();
  });

  it("leaves what the API changed, refuses to overwrite it with its code, and obeys a file that names its revision", async () => {
    const wide = agreement("ada", ["near", "far"]);
    expect(await runJob(plan([...others, wide]), "documents")).toMatchObject({ code: 0 });
    const revision = (await api().get("agreement", "ada"))?.revision ?? 0;
    const narrowed = agreement("ada", ["far"]).value;
    const now = await api().put("agreement", "ada", narrowed, revision);

    // Another file is another Job: the one that was changed by hand is left as it is.
    const left = await runJob(plan([...others, wide, archetype("third")]), "documents");
    expect(left).toMatchObject({ code: 0 });
    expect(left.log).toContain("POL-AGREEMENT-DRIFT");
    expect(await live("ada")).toEqual(narrowed);

    const both = [...others, archetype("fourth"), agreement("ada", ["near"])];
    const refused = await runJob(plan(both), "documents");
    expect(refused.code).toBe(3);
    expect(refused.told).toMatch(/^agreement ada {2}POL-AGREEMENT-CONFLICT {2}.*revision/);
    expect(await live("ada")).toEqual(narrowed);
    // Nothing was changed before all was looked at.
    expect(await api().get("archetype", "fourth")).toBeUndefined();

    const named = both.map((one) => (one.kind === "agreement" ? { ...one, revision: now } : one));
    expect(await runJob(plan(named), "documents")).toMatchObject({ code: 0 });
    expect(await live("ada")).toEqual(agreement("ada", ["near"]).value);
  });

  it("knows its own write again when it ended before it could note it", async () => {
    const wanted = agreement("ada", ["near"]).value;
    const { kvs } = await root().call<{ kvs?: { value: string }[] }>("kv/range", {
      key: base64(KEY.deployed("agreement", "ada")),
    });
    const noted = JSON.parse(fromBase64(kvs?.[0]?.value ?? "")) as { revision: number };
    const cut = { document: null, revision: noted.revision, next: wanted };
    await root().call("kv/put", {
      key: base64(KEY.deployed("agreement", "ada")),
      value: base64(JSON.stringify(cut)),
    });
    const done = await runJob(plan([...others, agreement("ada", ["far"])]), "documents");
    expect(done, done.told).toMatchObject({ code: 0 });
    expect(await live("ada")).toEqual(agreement("ada", ["far"]).value);
  });

  it("tells what the orchestrator refuses by its code", async () => {
    const unknown = agreement("ada", ["nowhere"]);
    const refused = await runJob(plan([...others, unknown]), "documents");
    expect(refused.code).toBe(3);
    expect(refused.told).toMatch(/agreement ada {2}DOC-[A-Z-]+ {2}/);
  });
});

function readFileIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { provider } from "../../../dynamos/agreement-provider.js";
import { pullAgreements } from "../../../dynamos/cli/agreements.js";
import { documentsApi } from "../../../dynamos/documents-api.js";
import { readExperiment } from "../../../dynamos/experiment.js";
import { coreServices, ENFORCER, GATEWAY, STORE } from "../../../dynamos/services.js";
import { ensureSupervisor, shutdownStack } from "../../../infra/local/index.js";
import type { Agreement } from "../../../policy/contract/documents.js";
import { makeStoreUsers } from "../../support/store-users.js";

type Props = Parameters<typeof provider.create>[0];
type Outputs = Parameters<NonNullable<typeof provider.diff>>[1];

const document: Agreement = {
  name: "ada",
  relations: {
    "bob@uva.nl": {
      ID: "bob",
      requestTypes: ["sum"],
      allowedArchetypes: ["computeToData"],
      allowedComputeProviders: ["ada"],
    },
  },
  computeProviders: ["ada"],
  archetypes: ["computeToData", "dataThroughTtp"],
};
const narrowed: Agreement = { ...document, archetypes: ["computeToData"] };
const widened: Agreement = { ...document, computeProviders: ["ada", "carol"] };

/** The agreement's provider against a real orchestrator over a real store. */
describe("an agreement's two writers", () => {
  const folder = mkdtempSync(join(tmpdir(), "documents-"));
  const state = join(folder, ".state/test");
  const before = process.cwd();
  const specs = coreServices({ placement: { core: "core", agents: [] } }).filter(
    (s) => ![ENFORCER, GATEWAY].includes(s.name),
  );
  const props = (more: Partial<Props> = {}): Props => ({
    state: ".state/test",
    kind: "agreement",
    name: "ada",
    document,
    ...more,
  });

  const api = () => {
    const found = documentsApi(state);
    if (found === undefined) throw new Error("the orchestrator is not running");
    return found;
  };
  const put = async (value: Agreement): Promise<number> =>
    api().put("agreement", "ada", value, (await api().get("agreement", "ada"))?.revision ?? 0);
  const diff = async (olds: Outputs, news: Props): Promise<boolean | undefined> =>
    (await provider.diff?.("agreement/ada", olds, news))?.changes;
  const update = async (olds: Outputs, news: Props): Promise<Outputs> =>
    (await provider.update?.("agreement/ada", olds, news))?.outs as Outputs;
  /** What the agreements name. */
  const others = async (): Promise<void> => {
    for (const name of document.archetypes) {
      const archetype = { name, computeProvider: "other", resultRecipient: "requestor", weight: 1 };
      await api().put("archetype", name, archetype, 0);
    }
    await api().put("requestType", "sum", { name: "sum", requiredServices: [] }, 0);
  };
  const fresh = async (): Promise<Outputs> => {
    await api().remove("agreement", "ada");
    return (await provider.create(props())).outs as Outputs;
  };

  /** The services in their order, the store's users once it is there. */
  const start = async (): Promise<void> => {
    const supervisor = await ensureSupervisor(state, folder);
    for (const spec of specs) {
      const { ports } = await supervisor.put(spec);
      if (spec.name === STORE) await makeStoreUsers(state, ports.client, specs);
    }
  };

  beforeAll(async () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
    process.chdir(folder);
    await start();
    await others();
  }, 120_000);

  afterAll(async () => {
    process.chdir(before);
    await shutdownStack(state);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("is written, found well, and taken away", async () => {
    const outs = await fresh();
    expect((await api().get("agreement", "ada"))?.revision).toBe(outs.revision);
    expect(await diff(outs, props())).toBe(false);
    await provider.delete?.("agreement/ada", outs);
    expect(await api().get("agreement", "ada")).toBeUndefined();
    await provider.delete?.("agreement/ada", outs);
  });

  it("follows the file while nobody else writes", async () => {
    const outs = await fresh();
    expect(await diff(outs, props({ document: widened }))).toBe(true);
    const after = await update(outs, props({ document: widened }));
    expect(after.revision).toBeGreaterThan(outs.revision);
    expect((await api().get("agreement", "ada"))?.document).toEqual(widened);
    expect(await diff(after, props({ document: widened }))).toBe(false);
  });

  it("stays as the API made it, with an unchanged file", async () => {
    const outs = await fresh();
    await put(narrowed);
    expect(await diff(outs, props())).toBe(false);
    await update(outs, props());
    expect((await api().get("agreement", "ada"))?.document).toEqual(narrowed);
  });

  it("stays away when the API took it away", async () => {
    const outs = await fresh();
    await api().remove("agreement", "ada");
    expect(await diff(outs, props())).toBe(false);
    await update(outs, props());
    expect(await api().get("agreement", "ada")).toBeUndefined();
    expect(await diff(outs, props({ replaces: 0 }))).toBe(true);
  });

  it("is a conflict when both changed, until the file names the live revision", async () => {
    const outs = await fresh();
    const revision = await put(narrowed);
    await expect(diff(outs, props({ document: widened }))).rejects.toThrow(
      /POL-AGREEMENT-CONFLICT.*agreements pull/s,
    );
    await expect(update(outs, props({ document: widened }))).rejects.toThrow(/POL-AGREEMENT-CONFLICT/);
    expect((await api().get("agreement", "ada"))?.document).toEqual(narrowed);
    await update(outs, props({ document: widened, replaces: revision }));
    expect((await api().get("agreement", "ada"))?.document).toEqual(widened);
  });

  it("takes over a live one that is the file's, after `agreements pull`", async () => {
    const outs = await fresh();
    const revision = await put(narrowed);
    expect(await diff(outs, props({ document: narrowed }))).toBe(true);
    expect((await update(outs, props({ document: narrowed }))).revision).toBe(revision);
    expect((await api().get("agreement", "ada"))?.revision).toBe(revision);
  });

  it("comes into the files by `agreements pull`", async () => {
    await fresh();
    await put(narrowed);
    await api().put("agreement", "dora", { ...document, name: "dora" }, 0);
    const files = join(folder, "experiment");
    mkdirSync(join(files, "agreements"), { recursive: true });
    for (const name of ["ada", "eve"])
      writeFileSync(join(files, `agreements/${name}.json`), JSON.stringify({ ...document, name }));
    const read = () => readExperiment(files).experiment.documents;
    const done = await pullAgreements(api(), files, read());
    expect(done.map((line) => line.replace(/\d+/, "N"))).toEqual([
      "agreements/ada.json: changed, revision N",
      "agreements/dora.json: new, revision N",
      "agreements/eve.json: removed, there is no such agreement any more",
    ]);
    expect(read().map((d) => d.value)).toEqual([narrowed, { ...document, name: "dora" }]);
    expect(await pullAgreements(api(), files, read())).toEqual([]);
    await api().remove("agreement", "dora");
  });

  it("shows no stack trace", async () => {
    const outs = await fresh();
    await put(narrowed);
    const error = await diff(outs, props({ document: widened })).then(
      () => undefined,
      (e: Error) => e,
    );
    expect(error?.stack).toBe(error?.message);
  });

  it("is written again into a new store, which nobody took it away from", async () => {
    const outs = await fresh();
    const supervisor = await ensureSupervisor(state, folder);
    await supervisor.remove(STORE);
    await start();
    await others();
    expect(await diff(outs, props())).toBe(true);
    await update(outs, props());
    expect((await api().get("agreement", "ada"))?.document).toEqual(document);
  }, 60_000);

  it("is judged by the file alone when nothing runs", async () => {
    const outs = await fresh();
    await shutdownStack(state, { forget: false });
    expect(await diff(outs, props())).toBe(false);
    expect(await diff(outs, props({ document: widened }))).toBe(true);
    await expect(provider.create(props())).rejects.toThrow(/ORC-UNREACHABLE/);
  });
});

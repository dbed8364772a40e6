import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readHistory } from "../../../dynamos/runs/history.js";
import { agentServiceSpec, coreServices, STORE } from "../../../dynamos/services.js";
import { STORE_READER, secretsOf, storeRightsOf, storeSecret } from "../../../dynamos/store-rights.js";
import { provider } from "../../../dynamos/store-users-provider.js";
import {
  ensureSupervisor,
  type ServiceStatus,
  StateFolder,
  shutdownStack,
} from "../../../infra/local/index.js";
import { agentKeyPair } from "../../../policy/contract/agent-key.js";
import { AUDIT_KEY } from "../../../policy/contract/audit.js";
import { KEY } from "../../../policy/contract/names.js";
import { Store } from "../../../policy/platform/store.js";
import type { StoreAdmin } from "../../../policy/setup/store-admin.js";
import { until } from "../../support/servers.js";
import { makeStoreUsers } from "../../support/store-users.js";

type Props = Parameters<typeof provider.create>[0];

/** The store as the supervisor runs it from our specification, with the users that `up` makes. */
describe("the store of a stack", () => {
  const folder = mkdtempSync(join(tmpdir(), "store-users-"));
  const state = join(folder, ".state/test");
  const before = process.cwd();
  const agent = (party: string) => agentServiceSpec({ party, node: party, role: "agent" }, "x");
  const core = coreServices({ placement: { core: "core", agents: [] } });
  const specs = [...core, agent("clientone"), agent("client")];
  const open: Store[] = [];
  let server: ServiceStatus;
  let admin: StoreAdmin;
  const endpoint = (): string => `127.0.0.1:${server.ports.client}`;
  const password = (user: string): string => new StateFolder(state).secret(storeSecret(user));
  const as = async (user: string, secret = password(user)): Promise<Store> => {
    const store = await Store.connect({ endpoint: endpoint(), login: { user, password: secret } });
    open.push(store);
    return store;
  };
  const denied = { code: "STO-DENIED" };
  const props = (party: string): Props => ({
    state: ".state/test",
    rights: [storeRightsOf(agent(party)) ?? []].flat(),
  });

  beforeAll(async () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
    process.chdir(folder);
    const supervisor = await ensureSupervisor(state, folder);
    const spec = core.find(({ name }) => name === STORE);
    if (spec === undefined) throw new Error("no store");
    server = await supervisor.put(spec);
    admin = await makeStoreUsers(state, server.ports.client, specs);
  }, 120_000);

  afterAll(async () => {
    process.chdir(before);
    for (const store of open) await store.close();
    await shutdownStack(state);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("does nothing for a caller without a user, or with a wrong password", async () => {
    await expect(Store.connect({ endpoint: endpoint() })).rejects.toMatchObject(denied);
    await expect(as("orchestrator", "guess")).rejects.toMatchObject({ code: "STO-LOGIN" });
    await expect(as("nobody", "guess")).rejects.toMatchObject({ code: "STO-LOGIN" });
    const answer = await fetch(`http://${endpoint()}/v3/kv/put`, {
      method: "POST",
      body: JSON.stringify({
        key: Buffer.from(KEY.agreement("clientone")).toString("base64"),
        value: "e30=",
      }),
    });
    expect(answer.ok).toBe(false);
  });

  it("lets each service do its work", async () => {
    const [orchestrator, enforcer, gateway, one] = await Promise.all(
      ["orchestrator", "policy-enforcer", "api-gateway", "agent-clientone"].map((user) => as(user)),
    );
    if (!orchestrator || !enforcer || !gateway || !one) throw new Error("not connected");
    const revision = await orchestrator.put(KEY.agreement("clientone"), { name: "clientone" });
    for (const key of [KEY.archetype("a"), KEY.requestType("a"), KEY.dataset("a"), KEY.microservice("a")])
      await orchestrator.put(key, {});
    for (const key of [KEY.job("j"), KEY.ended("j")]) await orchestrator.put(key, { at: 1 });
    expect(
      await enforcer.open([{ key: KEY.agreement("clientone"), revision }], {
        key: KEY.round("j", 1),
        value: { round: 1 },
      }),
    ).toHaveProperty("revision");
    await enforcer.put(AUDIT_KEY.key("e", "k"), {});
    const key = await enforcer.presence(KEY.grantKey("k"), { kid: "k" }, 5);
    const online = await one.presence(KEY.online("clientone"), { name: "clientone" }, 5);
    await one.put(KEY.agentJob("clientone", "ada", "j"), {});
    for (const [store, prefixes] of [
      [orchestrator, [KEY.onlinePrefix, KEY.archetypePrefix, KEY.roundsPrefix, AUDIT_KEY.prefix]],
      [enforcer, [KEY.agreementPrefix, KEY.archetypePrefix, KEY.requestTypePrefix, KEY.datasetPrefix]],
      [gateway, [KEY.onlinePrefix, KEY.requestTypePrefix, KEY.jobPrefix, KEY.roundPrefix("j")]],
      [
        one,
        [
          KEY.onlinePrefix,
          KEY.grantKeyPrefix,
          KEY.requestTypePrefix,
          KEY.microservicePrefix,
          KEY.agentKeyPrefix,
          KEY.datasetPrefix,
          KEY.ended("j"),
        ],
      ],
    ] as const)
      for (const prefix of prefixes) {
        const mirror = await store.mirror(prefix);
        expect(mirror.all().length, prefix).toBeGreaterThan(0);
        await mirror.close();
      }
    expect((await one.mirrorKey(KEY.agreement("clientone"))).all()).toHaveLength(1);
    await online.close();
    await key.close();
    expect(await one.get(KEY.online("clientone"))).toBeUndefined();
  });

  it("refuses an agent an agreement, a round, a key and another's presence", async () => {
    const one = await as("agent-clientone");
    for (const key of [
      KEY.agreement("clientone"),
      KEY.agreement("client"),
      KEY.round("j", 2),
      KEY.grantKey("mine"),
      KEY.online("client"),
      KEY.agentKey("clientone"),
      KEY.agentKey("client"),
      KEY.agentJob("client", "ada", "j"),
      KEY.archetype("a"),
      KEY.job("j"),
      KEY.ended("j"),
      "/anything",
    ]) {
      await expect(one.put(key, {}), key).rejects.toMatchObject(denied);
      await expect(one.delete(key), key).rejects.toMatchObject(denied);
      await expect(one.open([], { key, value: {} }), key).rejects.toMatchObject(denied);
    }
    for (const prefix of [
      "/",
      KEY.agreementPrefix,
      KEY.agreement("client"),
      AUDIT_KEY.prefix,
      KEY.roundsPrefix,
      KEY.jobPrefix,
      KEY.job("j"),
    ]) {
      await expect(one.list(prefix), prefix).rejects.toMatchObject(denied);
      await expect(one.mirror(prefix), prefix).rejects.toMatchObject(denied);
    }
    // One's name is the beginning of the other's: only its own agreement is its own.
    const short = await as("agent-client");
    await expect(short.get(KEY.agreement("clientone"))).rejects.toMatchObject(denied);
    await expect(short.mirror(KEY.agreement("client"))).rejects.toMatchObject(denied);
  });

  it("refuses the other services what is not theirs", async () => {
    const cases = {
      orchestrator: [KEY.round("j", 2), KEY.grantKey("k"), KEY.online("clientone"), AUDIT_KEY.key("e", "k")],
      "policy-enforcer": [KEY.agreement("clientone"), KEY.requestType("a"), KEY.job("j")],
      "api-gateway": [KEY.agreement("clientone"), KEY.job("j"), KEY.round("j", 2), KEY.online("clientone")],
      [STORE_READER]: [KEY.agreement("clientone"), KEY.round("j", 2)],
    };
    for (const [user, keys] of Object.entries(cases)) {
      const store = await as(user);
      for (const key of keys)
        await expect(store.put(key, {}), `${user} ${key}`).rejects.toMatchObject(denied);
    }
  });

  it("tells its history to its reader and to the orchestrator, and to nobody else", async () => {
    const versions = await (await as("orchestrator")).history(KEY.agreement("clientone"), 1);
    expect(versions.map(({ value }) => value)).toEqual([{ name: "clientone" }]);
    for (const user of ["agent-clientone", "policy-enforcer", "api-gateway"])
      await expect((await as(user)).history(KEY.root, 1), user).rejects.toMatchObject(denied);
    const login = { user: STORE_READER, password: password(STORE_READER) };
    const keys = (await readHistory(endpoint(), login, 1)).map((e) => e.key);
    expect(keys).toContain(KEY.agreement("clientone"));
    const other = { user: "agent-clientone", password: password("agent-clientone") };
    await expect(readHistory(endpoint(), other, 1)).rejects.toMatchObject({ code: "EXP-HISTORY" });
  });

  it("goes on with a service over its own restart, which makes every token void", async () => {
    const [orchestrator, one] = [await as("orchestrator"), await as("agent-clientone")];
    const mirror = await one.mirror(KEY.requestTypePrefix);
    const online = await one.presence(KEY.online("clientone"), { name: "clientone" }, 5);
    const supervisor = await ensureSupervisor(state, folder);
    await supervisor.stopNode("core");
    const spec = core.find(({ name }) => name === STORE);
    if (spec === undefined) throw new Error("no store");
    server = await supervisor.put(spec);
    const revision = await orchestrator.put(KEY.requestType("after"), { after: true });
    await mirror.seen(revision, 5_000);
    expect(mirror.get(KEY.requestType("after"))?.value).toEqual({ after: true });
    await until("presence is kept", async () => (await one.get(KEY.online("clientone"))) !== undefined);
    // Events come by the watch again, not only by asking.
    const told = new Promise<string>((done) => mirror.onChange(({ key }) => done(key)));
    await orchestrator.put(KEY.requestType("again"), {});
    expect(await told).toBe(KEY.requestType("again"));
    await online.close();
  }, 60_000);

  it("goes on with a service while users come and go", async () => {
    const orchestrator = await as("orchestrator");
    let stop = false;
    const writing = (async () => {
      for (let n = 0; !stop; n += 1) await orchestrator.put(KEY.job("busy"), { n });
    })();
    for (const party of ["x1", "x2", "x3"]) {
      const { id } = await provider.create(props(party));
      const made = await as(`agent-${party}`);
      await made.put(KEY.agentJob(party, "ada", "j"), {});
      await provider.delete?.(id, props(party));
      await expect(made.put(KEY.agentJob(party, "ada", "j"), {})).rejects.toMatchObject({
        code: expect.stringMatching(/^STO-(DENIED|LOGIN|FAILED)$/),
      });
    }
    stop = true;
    await writing;
  });

  it("is compared with what is wanted: rights, password and secret", async () => {
    const wanted = props("clientone");
    const rights = storeRightsOf(agent("clientone"));
    if (rights === undefined) throw new Error("no rights");
    const changes = async (): Promise<boolean | undefined> =>
      (await provider.diff?.("id", wanted, wanted))?.changes;
    expect(await changes()).toBe(false);
    const secrets = secretsOf(rights, new StateFolder(state));
    await admin.put({ ...rights, ranges: rights.ranges.slice(1) }, secrets);
    expect(await changes()).toBe(true);
    await provider.update?.("id", wanted, wanted);
    expect(await changes()).toBe(false);
    await admin.put(rights, { ...secrets, password: "another password" });
    expect(await changes()).toBe(true);
    await provider.update?.("id", wanted, wanted);
    expect(await changes()).toBe(false);
    await admin.put(rights, { ...secrets, publicKey: agentKeyPair("another secret").publicKey });
    expect(await changes()).toBe(true);
    await provider.update?.("id", wanted, wanted);
    expect(await changes()).toBe(false);
    await admin.enable(); // nothing to do
    expect(await changes()).toBe(false);
  });

  it("keeps its passwords in files of its owner's, and in no log", () => {
    const secrets = join(state, "secrets");
    const names = readdirSync(secrets).filter((name) => name.startsWith("store-"));
    expect(names).toContain(storeSecret("root"));
    for (const name of names) {
      expect(statSync(join(secrets, name)).mode & 0o777).toBe(0o600);
      const text = readFileSync(join(secrets, name), "utf8");
      for (const log of readdirSync(join(state, "logs")))
        expect(readFileSync(join(state, "logs", log), "utf8")).not.toContain(text);
      expect(readFileSync(join(state, "services.json"), "utf8")).not.toContain(text);
    }
    expect(existsSync(secrets)).toBe(true);
  });
});

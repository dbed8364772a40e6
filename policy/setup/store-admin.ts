import { isDeepStrictEqual } from "node:util";
import type { AgentKey } from "../contract/agent-key.js";
import { KEY } from "../contract/names.js";
import { base64, fromBase64, prefixEnd, StoreGateway, StoreRefusal } from "./store-gateway.js";
import { STORE_ROOT, type StoreRange, type StoreRights, type StoreSecrets } from "./store-user.js";

/** Agents are the only users that come and go. */
const AGENT = /^agent-/;

/** As etcd writes a permission. `READ` is its default, which its JSON leaves out. */
interface Permission {
  readonly permType: "READ" | "READWRITE";
  readonly key: string;
  readonly range_end: string;
}

/** The store's users and roles. Throws CodedError as {@link StoreGateway}. */
export class StoreAdmin {
  readonly #endpoint: string;
  readonly #root: StoreGateway;
  readonly #password: string;

  constructor(endpoint: string, rootPassword: string) {
    this.#endpoint = endpoint;
    this.#password = rootPassword;
    this.#root = new StoreGateway(endpoint, { user: STORE_ROOT, password: rootPassword });
  }

  /**
   * Has the store ask everybody who they are, if it does not yet. Whoever was put into it as a user before could be anybody, so such are removed:
   * users of ours are put after this.
   */
  async enable(): Promise<void> {
    if (await this.#enabled()) return;
    const open = new StoreGateway(this.#endpoint);
    const { users = [] } = await open.call<{ readonly users?: readonly string[] }>("auth/user/list", {});
    for (const name of users) await open.call("auth/user/delete", { name });
    const { roles = [] } = await open.call<{ readonly roles?: readonly string[] }>("auth/role/list", {});
    for (const role of roles) await open.call("auth/role/delete", { role });
    await open.call("auth/user/add", { name: STORE_ROOT, password: this.#password });
    await open.call("auth/role/add", { name: STORE_ROOT });
    await open.call("auth/user/grant", { user: STORE_ROOT, role: STORE_ROOT });
    await open.call("auth/enable", {});
  }

  /** Makes the user with exactly these rights; what is there already is made so. */
  async put({ user, ranges, party }: StoreRights, { password, publicKey }: StoreSecrets): Promise<void> {
    await this.#unless(/role name already exists/, "auth/role/add", { name: user });
    const wanted = ranges.map(permission);
    const found = await this.#permissions(user);
    for (const { key, range_end } of found.filter((f) => !wanted.some((w) => isDeepStrictEqual(w, f))))
      await this.#root.call("auth/role/revoke", { role: user, key, range_end });
    for (const perm of wanted.filter((w) => !found.some((f) => isDeepStrictEqual(w, f))))
      await this.#root.call("auth/role/grant", { name: user, perm });
    const existed = await this.#unless(/user name already exists/, "auth/user/add", { name: user, password });
    if (existed) await this.#root.call("auth/user/changepw", { name: user, password });
    for (const role of await this.#rolesOf(user))
      if (role !== user) await this.#root.call("auth/user/revoke", { name: user, role });
    if (party !== undefined && publicKey !== undefined && !(await this.#hasKey(party, publicKey)))
      await this.#root.call("kv/put", {
        key: base64(KEY.agentKey(party)),
        value: base64(JSON.stringify(publicKey)),
      });
    await this.#root.call("auth/user/grant", { user, role: user });
  }

  /** Whether the store asks for users, takes this one with this password, gives it exactly these rights, and has its public key. */
  async has({ user, ranges, party }: StoreRights, { password, publicKey }: StoreSecrets): Promise<boolean> {
    if (!(await this.#enabled())) return false;
    try {
      await new StoreGateway(this.#endpoint, { user, password }).logIn();
      const found = await this.#permissions(user);
      const wanted = ranges.map(permission);
      return (
        isDeepStrictEqual(await this.#rolesOf(user), [user]) &&
        (party === undefined || publicKey === undefined || (await this.#hasKey(party, publicKey))) &&
        found.length === wanted.length &&
        wanted.every((w) => found.some((f) => isDeepStrictEqual(w, f)))
      );
    } catch (error) {
      if (error instanceof StoreRefusal) return false;
      throw error;
    }
  }

  /** Removes the user, its role and its public key. Fine when they are gone. */
  async remove({ user, party }: Pick<StoreRights, "user" | "party">): Promise<void> {
    await this.#unless(/user name not found/, "auth/user/delete", { name: user });
    await this.#unless(/role name not found/, "auth/role/delete", { role: user });
    if (party !== undefined) await this.#root.call("kv/deleterange", { key: base64(KEY.agentKey(party)) });
  }

  /** Removes agents that are not among these, with their public keys, and says which users those were. */
  async removeOtherAgents(kept: readonly Pick<StoreRights, "user" | "party">[]): Promise<readonly string[]> {
    const { users = [] } = await this.#root.call<{ readonly users?: readonly string[] }>(
      "auth/user/list",
      {},
    );
    const gone = users.filter((name) => AGENT.test(name) && !kept.some(({ user }) => user === name));
    for (const user of gone) await this.remove({ user });
    const prefix = KEY.agentKeyPrefix;
    const range = { key: base64(prefix), range_end: base64(prefixEnd(prefix)), keys_only: true };
    const { kvs = [] } = await this.#root.call<{ readonly kvs?: readonly { readonly key: string }[] }>(
      "kv/range",
      range,
    );
    const wanted = kept.flatMap(({ party }) => (party === undefined ? [] : [KEY.agentKey(party)]));
    for (const { key } of kvs)
      if (!wanted.includes(fromBase64(key))) await this.#root.call("kv/deleterange", { key });
    return gone;
  }

  async #enabled(): Promise<boolean> {
    try {
      await this.#root.logIn();
      return true;
    } catch (error) {
      if (error instanceof StoreRefusal && /authentication is not enabled/.test(error.words)) return false;
      throw error;
    }
  }

  async #permissions(role: string): Promise<readonly Permission[]> {
    const { perm = [] } = await this.#root.call<{ readonly perm?: readonly Partial<Permission>[] }>(
      "auth/role/get",
      { role },
    );
    return perm.map(({ permType = "READ", key = "", range_end = "" }) => ({ permType, key, range_end }));
  }

  async #hasKey(party: string, publicKey: AgentKey): Promise<boolean> {
    const { kvs } = await this.#root.call<{ readonly kvs?: readonly { readonly value?: string }[] }>(
      "kv/range",
      {
        key: base64(KEY.agentKey(party)),
      },
    );
    return fromBase64(kvs?.[0]?.value ?? "") === JSON.stringify(publicKey);
  }

  async #rolesOf(name: string): Promise<readonly string[]> {
    const { roles = [] } = await this.#root.call<{ readonly roles?: readonly string[] }>("auth/user/get", {
      name,
    });
    return roles;
  }

  /** Whether it was so already. */
  async #unless(already: RegExp, path: string, body: object): Promise<boolean> {
    try {
      await this.#root.call(path, body);
      return false;
    } catch (error) {
      if (error instanceof StoreRefusal && already.test(error.words)) return true;
      throw error;
    }
  }
}

function permission({ key, prefix, right }: StoreRange): Permission {
  return {
    permType: right === "read" ? "READ" : "READWRITE",
    key: base64(key),
    range_end: prefix ? base64(prefixEnd(key)) : "",
  };
}

/** The code behind StoreUsers; run in the engine's provider process (see infra/dynamic.ts). */
import { existsSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent, hasUnknown, plainErrors, stripUndefined } from "../infra/dynamic.js";
import { stateFolder } from "../infra/local/package-folder.js";
import { readyPort } from "../infra/local/stack.js";
import { StateFolder } from "../infra/local/state-folder.js";
import { InfraError } from "../infra/problem.js";
import { CodedError } from "../policy/contract/problem.js";
import { StoreAdmin } from "../policy/setup/store-admin.js";
import { STORE_ROOT, type StoreRights } from "../policy/setup/store-user.js";
import { STORE } from "./services.js";
import { secretsOf, storeSecret } from "./store-rights.js";

endWithParent();

interface UsersProps {
  readonly state: string;
  readonly rights: readonly StoreRights[];
  readonly __provider?: string;
}

export const provider = plainErrors<dynamic.ResourceProvider<UsersProps, UsersProps>>({
  async check(_olds, news) {
    return { inputs: news, failures: [] };
  },

  async diff(_id, olds, news) {
    return { changes: !(await isAsWanted(olds, news)) };
  },

  async create(props) {
    return { id: names(props).join(","), outs: await put(props) };
  },

  async update(_id, olds, news) {
    const outs = await put(news);
    const gone = names(olds).filter((user) => !names(news).includes(user));
    for (const rights of olds.rights.filter((r) => gone.includes(r.user))) await needed(news).remove(rights);
    return { outs };
  },

  async delete(_id, props) {
    for (const rights of props.rights) await needed(props).remove(rights);
  },
});

const names = ({ rights }: UsersProps): string[] => rights.map(({ user }) => user);

/** A store that is down cannot be asked; it keeps its users, so that alone is no change. */
async function isAsWanted(olds: UsersProps, news: UsersProps): Promise<boolean> {
  if (hasUnknown(news) || olds.state !== news.state || !isDeepStrictEqual(olds.rights, news.rights))
    return false;
  const secrets = new StateFolder(stateFolder(news));
  if (names(news).some((user) => !existsSync(secrets.secretFile(storeSecret(user))))) return false;
  const admin = connect(news);
  if (admin === undefined) return true;
  try {
    for (const rights of news.rights)
      if (!(await admin.has(rights, secretsOf(rights, secrets)))) return false;
    return true;
  } catch (error) {
    if (error instanceof CodedError && error.code === "STO-ADMIN-UNREACHABLE") return true;
    throw error;
  }
}

async function put(props: UsersProps): Promise<UsersProps> {
  const secrets = new StateFolder(stateFolder(props));
  const admin = needed(props);
  await admin.enable();
  for (const rights of props.rights) await admin.put(rights, secretsOf(rights, secrets));
  return stripUndefined({ state: props.state, rights: props.rights });
}

/** The store of the stack, as the supervisor's records have it; undefined when it is not running. */
function connect(props: UsersProps): StoreAdmin | undefined {
  const folder = stateFolder(props);
  const port = readyPort(folder, STORE, "client");
  return port === undefined
    ? undefined
    : new StoreAdmin(`127.0.0.1:${port}`, new StateFolder(folder).secret(storeSecret(STORE_ROOT)));
}

function needed(props: UsersProps): StoreAdmin {
  const admin = connect(props);
  if (admin !== undefined) return admin;
  throw new InfraError({
    code: "STO-ADMIN-UNREACHABLE",
    path: names(props).join(", "),
    message: "the store is not running, so its users cannot be changed",
    remedy: "run `up`, which starts it; see `dynamos-fabric status`",
  });
}

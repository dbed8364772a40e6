/** The code behind BrokerUser; run in the engine's provider process (see infra/dynamic.ts). */
import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent, hasUnknown, plainErrors, stripUndefined } from "../infra/dynamic.js";
import { stateFolder } from "../infra/local/package-folder.js";
import { rabbitmqPasswordHash } from "../infra/local/rabbitmq-hash.js";
import { readyPort } from "../infra/local/stack.js";
import { StateFolder } from "../infra/local/state-folder.js";
import { InfraError } from "../infra/problem.js";
import { BrokerAdmin } from "./broker-admin.js";
import { BROKER_ADMIN, type BrokerRights, brokerSecret } from "./broker-definitions.js";
import { BROKER } from "./services.js";

endWithParent();

interface UserProps {
  readonly state: string;
  readonly rights: BrokerRights;
  readonly __provider?: string;
}

interface UserOutputs extends UserProps {
  readonly user: string;
}

export const provider = plainErrors<dynamic.ResourceProvider<UserProps, UserOutputs>>({
  async check(_olds, news) {
    return { inputs: news, failures: [] };
  },

  async diff(_id, olds, news) {
    return { changes: !(await isAsWanted(olds, news)) };
  },

  async create(props) {
    return { id: props.rights.user, outs: await put(props) };
  },

  async update(_id, olds, news) {
    if (olds.rights.user !== news.rights.user) await connect(olds)?.remove(olds.rights);
    return { outs: await put(news) };
  },

  async delete(_id, props) {
    await needed(props).remove(props.rights);
  },
});

/** A broker that is down cannot be asked; it keeps its users, so that alone is no change. */
async function isAsWanted(olds: UserProps, news: UserProps): Promise<boolean> {
  if (hasUnknown(news) || olds.state !== news.state || !isDeepStrictEqual(olds.rights, news.rights))
    return false;
  if (!existsSync(new StateFolder(stateFolder(news)).secretFile(brokerSecret(news.rights.user))))
    return false;
  const admin = connect(news);
  if (admin === undefined) return true;
  try {
    return await admin.has(news.rights);
  } catch (error) {
    if (error instanceof InfraError && error.code === "BUS-ADMIN-UNREACHABLE") return true;
    throw error;
  }
}

async function put(props: UserProps): Promise<UserOutputs> {
  const secret = new StateFolder(stateFolder(props)).ensureSecret(brokerSecret(props.rights.user));
  await needed(props).put(props.rights, rabbitmqPasswordHash(readFileSync(secret, "utf8")));
  return stripUndefined({ state: props.state, rights: props.rights, user: props.rights.user });
}

/** The broker of the stack, as the supervisor's records have it; undefined when it is not running. */
function connect(props: UserProps): BrokerAdmin | undefined {
  const folder = stateFolder(props);
  const port = readyPort(folder, BROKER, "management");
  const secret = new StateFolder(folder).secretFile(brokerSecret(BROKER_ADMIN));
  return port === undefined || !existsSync(secret)
    ? undefined
    : new BrokerAdmin(port, readFileSync(secret, "utf8"));
}

function needed(props: UserProps): BrokerAdmin {
  const admin = connect(props);
  if (admin !== undefined) return admin;
  throw new InfraError({
    code: "BUS-ADMIN-UNREACHABLE",
    path: props.rights.user,
    message: "the broker is not running, so its users cannot be changed",
    remedy: "run `up`, which starts it; see `dynamos-fabric status`",
  });
}

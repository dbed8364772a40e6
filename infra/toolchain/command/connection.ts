import { setTimeout as delay } from "node:timers/promises";
import { Client, type ConnectConfig, type ServerHostKeyAlgorithm, utils } from "ssh2";
import { z } from "zod";
import { InfraError } from "../../problem.js";

const host = z.object({
  host: z.string(),
  port: z.number().default(22),
  user: z.string().default("root"),
  password: z.string().optional(),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  agentSocketPath: z.string().optional(),
  hostKey: z.string().optional(),
  dialErrorLimit: z.number().default(10),
  perDialTimeout: z.number().default(15),
});
/** `command:remote:Connection`, with the defaults of its schema. */
export const connectionSchema = host.extend({ proxy: host.optional() });
export type Connection = z.infer<typeof connectionSchema>;

/** What is worked on: whom it tells, who may end it, through whom it connects. */
export interface Context {
  readonly signal: AbortSignal;
  readonly onLine: (line: string, isWarning?: boolean) => void;
  readonly bastion?: Client;
}
type Work<T> = (client: Client) => Promise<T>;

export const nameOf = (to: Connection): string => `${to.user}@${to.host} port ${to.port}`;
export const problem = (code: string, message: string, remedy: string): InfraError =>
  new InfraError({ code, message, remedy });

/**
 * Logs in, through the bastion if there is one, works, and logs out.
 * @throws InfraError `CMD-UNREACHABLE` and `CMD-LOGIN-REFUSED` after the tries; at once `CMD-HOST-KEY` and `CMD-KEY`
 */
export async function login<T>({ proxy, ...to }: Connection, context: Context, work: Work<T>): Promise<T> {
  if (proxy) return await login(proxy, context, (bastion) => login(to, { ...context, bastion }, work));
  const client = await dial(to, context);
  context.signal.addEventListener("abort", () => client.destroy());
  return await work(client).finally(() => client.end());
}

/** Between tries it waits as the official plugin does: 0.1 s, then half as long again each time, at most 5 s. */
async function dial(to: Connection, { signal, onLine, bastion }: Context): Promise<Client> {
  const credentials = credentialsOf(to);
  for (let tries = 1, wait = 100; ; tries++, wait = Math.min(wait * 1.5, 5_000)) {
    try {
      return await connect(to, credentials, bastion);
    } catch (cause) {
      const { message, level } = cause as Error & { level?: string };
      if (message.includes("verification failed"))
        throw problem("CMD-HOST-KEY", `${nameOf(to)} has another key than hostKey`, "find out who answers");
      const told = `${nameOf(to)} after ${tries} failed attempts: ${message}`;
      if (to.dialErrorLimit < 0 || tries <= to.dialErrorLimit) onLine(told);
      else if (level === "client-authentication")
        throw problem("CMD-LOGIN-REFUSED", told, "check user and key, and what the host lets in");
      else throw problem("CMD-UNREACHABLE", told, "check that it is up; dialErrorLimit sets the tries");
    }
    await delay(wait, undefined, { signal });
  }
}

/** One try; `perDialTimeout` is for all of it, the login included. */
async function connect(to: Connection, credentials: ConnectConfig, bastion?: Client): Promise<Client> {
  return await new Promise<Client>((settle, fail) => {
    const client = new Client();
    const stop = (error: Error): void => {
      fail(error);
      client.destroy();
    };
    const late = new Error(`no login within ${to.perDialTimeout} s`);
    const timer = to.perDialTimeout > 0 ? setTimeout(stop, to.perDialTimeout * 1_000, late) : undefined;
    client.on("error", stop).once("close", () => stop(new Error("the other side closed the connection")));
    client.once("ready", () => settle(client.setNoDelay(true))).once("ready", () => clearTimeout(timer));
    if (bastion === undefined) client.connect({ ...credentials, host: to.host, port: to.port });
    else
      bastion.forwardOut("127.0.0.1", 0, to.host, to.port, (error, sock) =>
        error ? stop(error) : client.connect({ ...credentials, sock }),
      );
  });
}

function credentialsOf(to: Connection): ConnectConfig {
  const { user: username, password, privateKey, privateKeyPassword: passphrase } = to;
  const agent = to.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  // What the parser says may quote the key.
  if (privateKey !== undefined && utils.parseKey(privateKey, passphrase) instanceof Error)
    throw problem("CMD-KEY", `${nameOf(to)}: the private key cannot be read`, "give ssh-keygen's text");
  const key = to.hostKey === undefined ? undefined : utils.parseKey(to.hostKey);
  if (key instanceof Error)
    throw problem("CMD-HOST-KEY", `the hostKey for ${nameOf(to)} is none`, "give type and key");
  // One RSA key has three algorithms since SHA-1 is no longer trusted.
  const types = key?.type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [key?.type];
  return {
    ...({ username, password, privateKey, passphrase, agent } as ConnectConfig),
    authHandler: ["none", "publickey", "password", "agent"],
    ...(key === undefined ? {} : { algorithms: { serverHostKey: types as ServerHostKeyAlgorithm[] } }),
    hostVerifier: (shown: Buffer) => key === undefined || key.getPublicSSH().equals(shown),
    readyTimeout: 0,
    keepaliveInterval: 15_000,
    keepaliveCountMax: 8, // a host that goes while a command runs is noticed after two minutes
  };
}

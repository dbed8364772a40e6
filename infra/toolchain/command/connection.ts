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
type Host = z.infer<typeof host>;
export type Connection = z.infer<typeof connectionSchema>;

/** Whom a piece of work tells, and who may end it. */
export interface Surroundings {
  readonly signal: AbortSignal;
  /** Shown while it is at work. */
  readonly onLine: (line: string) => void;
  readonly onWarning: (text: string) => void;
}

export const nameOf = (to: Host): string => `${to.user}@${to.host} port ${to.port}`;

/**
 * Logs in, through the bastion if there is one, works, and logs out.
 *
 * @throws InfraError `CMD-UNREACHABLE` and `CMD-LOGIN-REFUSED` after the tries; at once `CMD-HOST-KEY` and `CMD-KEY`
 */
export async function withLogin<Result>(
  to: Connection,
  around: Surroundings,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const open: Client[] = [];
  try {
    if (to.proxy !== undefined) open.push(await dial(to.proxy, around, "bastion "));
    const client = await dial(to, around, "", open[0]);
    open.unshift(client);
    return await work(client);
  } finally {
    for (const client of open) client.end();
  }
}

/** Between tries it waits as the official plugin does: 0.1 s, then half as long again each time, at most 5 s. */
async function dial(
  to: Host,
  { signal, onLine }: Surroundings,
  kind: string,
  through?: Client,
): Promise<Client> {
  const login = loginOf(to);
  for (let tries = 1, wait = 100; ; tries++, wait = Math.min(wait * 1.5, 5_000)) {
    signal.throwIfAborted();
    try {
      return await connect(to, login, through);
    } catch (cause) {
      if (cause instanceof InfraError) throw cause;
      const { message, level } = cause as Error & { level?: string };
      const [name, limit] = [`${kind}${nameOf(to)}`, to.dialErrorLimit];
      if (limit >= 0 && tries > limit) {
        const told = `${name} after ${tries} failed attempts: ${message}`;
        throw level === "client-authentication"
          ? problem(
              "CMD-LOGIN-REFUSED",
              told,
              "check the connection's user and key, and what the host lets in",
            )
          : problem(
              "CMD-UNREACHABLE",
              told,
              "check that it is up and its address; dialErrorLimit sets the tries",
            );
      }
      onLine(
        `${name}: dial ${tries} of ${limit < 0 ? "any number" : limit + 1} failed (${message}); trying again`,
      );
      await delay(wait, undefined, { signal });
    }
  }
}

/** One try; `perDialTimeout` is for all of it, the login included. */
async function connect(to: Host, login: ConnectConfig, through?: Client): Promise<Client> {
  const client = new Client();
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((settle, fail) => {
      const late = (): void => fail(new Error(`no login within ${to.perDialTimeout} s`));
      if (to.perDialTimeout > 0) timer = setTimeout(late, to.perDialTimeout * 1_000);
      // An agent that does not answer is one way to log in less.
      client.on("error", (error) => error.level !== "agent" && fail(error));
      client.once("close", () => fail(new Error("the other side closed the connection")));
      client.on("keyboard-interactive", (_name, _text, _language, asked, answer) =>
        answer(asked.map(() => to.password ?? "")),
      );
      client.once("ready", () => settle(client.setNoDelay(true)));
      const hostVerifier = (key: Buffer): boolean => {
        const expected = to.hostKey === undefined ? undefined : utils.parseKey(to.hostKey);
        if (expected === undefined || (!(expected instanceof Error) && key.equals(expected.getPublicSSH())))
          return true;
        fail(
          problem(
            "CMD-HOST-KEY",
            `${nameOf(to)} shows another key than hostKey`,
            "find out who answers there",
          ),
        );
        return false;
      };
      if (through === undefined) client.connect({ ...login, hostVerifier, host: to.host, port: to.port });
      else
        through.forwardOut("127.0.0.1", 0, to.host, to.port, (error, sock) =>
          error ? fail(error) : client.connect({ ...login, hostVerifier, sock }),
        );
    });
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function loginOf(to: Host): ConnectConfig {
  const { privateKey, privateKeyPassword: passphrase, password } = to;
  const agent = to.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  // What the parser says may quote the key.
  if (privateKey !== undefined && utils.parseKey(privateKey, passphrase) instanceof Error)
    throw problem(
      "CMD-KEY",
      `the private key for ${nameOf(to)} cannot be read`,
      "give it as ssh-keygen writes it",
    );
  const hostKey = to.hostKey === undefined ? undefined : utils.parseKey(to.hostKey);
  if (hostKey instanceof Error)
    throw problem(
      "CMD-HOST-KEY",
      `the hostKey for ${nameOf(to)} is none`,
      "give type and key, as in ssh-keyscan's lines",
    );
  // One RSA key has three algorithms since SHA-1 is no longer trusted.
  const algorithms =
    hostKey?.type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [hostKey?.type];
  return {
    username: to.user,
    authHandler: ["none", "publickey", "password", "keyboard-interactive", "agent"],
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(password === undefined ? {} : { password, tryKeyboard: true }),
    ...(agent ? { agent } : {}),
    ...(hostKey ? { algorithms: { serverHostKey: algorithms as ServerHostKeyAlgorithm[] } } : {}),
    readyTimeout: 0,
    // A host that goes while a command runs is noticed after two minutes.
    keepaliveInterval: 15_000,
    keepaliveCountMax: 8,
  };
}

export const problem = (code: string, message: string, remedy: string): InfraError =>
  new InfraError({ code, message, remedy });

/** The API server of a cluster that is there, asked before anything is changed: by what the kubeconfig says, as kubectl would. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { Agent, request } from "undici";
import { parse } from "yaml";
import { onlyContext } from "./kubeconfig.js";

/** Seconds for one answer: who previews is waiting. */
const CALL_MS = 5_000;
/** Seconds for a credential plugin, which may ask a cloud. */
const PLUGIN_MS = 20_000;

interface Named<T> {
  readonly name: string;
  readonly value: T;
}
interface ClusterEntry {
  readonly server: string;
  readonly "certificate-authority"?: string;
  readonly "certificate-authority-data"?: string;
  readonly "insecure-skip-tls-verify"?: boolean;
}
interface UserEntry {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly "client-certificate"?: string;
  readonly "client-certificate-data"?: string;
  readonly "client-key"?: string;
  readonly "client-key-data"?: string;
  readonly exec?: {
    readonly command: string;
    readonly args?: readonly string[];
    readonly apiVersion: string;
    readonly env?: readonly Named<string>[];
  };
}

/** An API server's "no": its HTTP status and its own words. */
export class KubeRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Reads and asks; changes nothing. */
export class KubeApi {
  readonly #server: string;
  readonly #connections: Agent;
  readonly #headers: Readonly<Record<string, string>>;

  private constructor(server: string, connections: Agent, headers: Readonly<Record<string, string>>) {
    this.#server = server.replace(/\/$/, "");
    this.#connections = connections;
    this.#headers = headers;
  }

  /**
   * @param text of a kubeconfig
   * @param folder that its files are relative to
   * @throws InfraError CLU-KUBECONFIG, CLU-CONTEXT-UNKNOWN; others where a file or a credential plugin fails
   */
  static async open(text: string, folder: string, context?: string): Promise<KubeApi> {
    const config = parse(onlyContext(text, context)) as {
      readonly clusters: readonly [{ readonly cluster: ClusterEntry }];
      readonly users: readonly [{ readonly user: UserEntry | null }];
    };
    const [{ cluster }] = config.clusters;
    const [{ user: written }] = config.users;
    const user = { ...written, ...(await fromPlugin(written?.exec)) };
    const bytes = (data: string | undefined, file: string | undefined): string | undefined =>
      data !== undefined
        ? Buffer.from(data, "base64").toString()
        : file === undefined
          ? undefined
          : readFileSync(resolve(folder, file), "utf8");
    const ca = bytes(cluster["certificate-authority-data"], cluster["certificate-authority"]);
    const cert = bytes(user["client-certificate-data"], user["client-certificate"]);
    const key = bytes(user["client-key-data"], user["client-key"]);
    const token = user.token ?? bytes(undefined, user.tokenFile)?.trim();
    const basic = user.username === undefined ? undefined : `${user.username}:${user.password ?? ""}`;
    const authorization =
      token !== undefined
        ? `Bearer ${token}`
        : basic === undefined
          ? undefined
          : `Basic ${Buffer.from(basic).toString("base64")}`;
    const connections = new Agent({
      connect: {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        rejectUnauthorized: cluster["insecure-skip-tls-verify"] !== true,
        timeout: CALL_MS,
      },
      headersTimeout: CALL_MS,
      bodyTimeout: CALL_MS,
    });
    return new KubeApi(cluster.server, connections, authorization === undefined ? {} : { authorization });
  }

  /** @throws KubeRefusal; undici's error where nobody answers */
  async get<T>(path: string): Promise<T> {
    return (await this.#call("GET", path)) as T;
  }

  /** Asks a question that is put by a POST, as reviews are. Throws as {@link get}. */
  async review<T>(path: string, object: object): Promise<T> {
    return (await this.#call("POST", path, object)) as T;
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #call(method: "GET" | "POST", path: string, body?: object): Promise<unknown> {
    const answer = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#connections,
      headers: { ...this.#headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode < 300) return JSON.parse(text) as unknown;
    throw new KubeRefusal(answer.statusCode, wordsOf(text));
  }
}

function wordsOf(text: string): string {
  try {
    return (JSON.parse(text) as { readonly message?: string }).message ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200); // no JSON: as it is
  }
}

/** What a credential plugin answers (client.authentication.k8s.io, ExecCredential). */
async function fromPlugin(exec: UserEntry["exec"]): Promise<UserEntry> {
  if (exec === undefined) return {};
  const { command, args = [], env = [], apiVersion } = exec;
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec: { interactive: false } });
  const { stdout } = await promisify(execFile)(command, [...args], {
    timeout: PLUGIN_MS,
    env: {
      ...process.env,
      ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: info,
    },
  });
  const { status } = JSON.parse(stdout) as {
    readonly status?: {
      readonly token?: string;
      readonly clientCertificateData?: string;
      readonly clientKeyData?: string;
    };
  };
  const inBase64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    ...(status?.token === undefined ? {} : { token: status.token }),
    ...(status?.clientCertificateData === undefined
      ? {}
      : { "client-certificate-data": inBase64(status.clientCertificateData) }),
    ...(status?.clientKeyData === undefined ? {} : { "client-key-data": inBase64(status.clientKeyData) }),
  };
}

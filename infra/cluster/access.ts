import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { InfraError } from "../problem.js";
import { chosenIn } from "./kubeconfig.js";

/** How an API server is reached, and as whom. */
export interface Access {
  readonly server: string;
  /** Of the context. */
  readonly namespace: string | undefined;
  readonly tls: Readonly<Record<"ca" | "cert" | "key" | "servername", string | undefined>>;
  readonly isUnverified: boolean;
  /** The header; asked for at each call, as tokens end. */
  readonly authorization: () => Promise<string | undefined>;
}

const wrong = (
  message: string,
  remedy = "see that `kubectl` works with the same file and context",
): InfraError => new InfraError({ code: "CLU-KUBECONFIG", message, remedy });

/**
 * What a kubeconfig says; asks a credential plugin that it names. Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 *
 * @param kubeconfig a text, or a path. Default: KUBECONFIG's first, then `~/.kube/config`
 * @param context default: the current one
 * @throws InfraError `CLU-KUBECONFIG`, `CLU-CONTEXT-UNKNOWN`
 */
export async function accessOf(kubeconfig?: string, context?: string): Promise<Access> {
  const { cluster, user, namespace, file } = entriesOf(kubeconfig, context);
  const exec = user.exec as Exec | undefined;
  const credential = exec === undefined ? undefined : await credentialOf(exec);
  const basic = `${user.username}:${user.password ?? ""}`;
  return {
    ...serverOf(cluster),
    namespace,
    tls: {
      ca: file(cluster, "certificate-authority"),
      cert: credential?.clientCertificateData ?? file(user, "client-certificate"),
      key: credential?.clientKeyData ?? file(user, "client-key"),
      servername: cluster["tls-server-name"] as string | undefined,
    },
    isUnverified: cluster["insecure-skip-tls-verify"] === true,
    authorization: async () => {
      const own = (user.token as string | undefined) ?? file(user, "tokenFile");
      const token = exec === undefined ? own : (await credentialOf(exec)).token;
      if (token !== undefined) return `Bearer ${token}`;
      return user.username === undefined ? undefined : `Basic ${Buffer.from(basic).toString("base64")}`;
    },
  };
}

/** Which cluster a kubeconfig leads to: its server and certificate. @throws as {@link accessOf} */
export function clusterOf(kubeconfig?: string, context?: string): Readonly<Record<string, unknown>> {
  const { cluster, file } = entriesOf(kubeconfig, context);
  return { ...serverOf(cluster), ca: file(cluster, "certificate-authority") };
}

const serverOf = ({ server }: Fields) => ({ server: String(server).replace(/\/$/, "") });

function entriesOf(kubeconfig: string | undefined, context: string | undefined) {
  const { text, folder } = source(kubeconfig);
  const { cluster, user: known, contextValue } = chosenIn(text, context);
  const user = (known ?? {}) as Fields;
  for (const key of ["auth-provider", "proxy-url"])
    if (key in user || key in cluster)
      throw wrong(`${key} is not built here`, "log in by `exec`, a token or a certificate");
  const file = (of: Fields, key: string): string | undefined => {
    const [data, path] = [of[`${key}-data`], of[key]];
    if (typeof data === "string") return Buffer.from(data, "base64").toString("utf8");
    if (typeof path !== "string") return undefined;
    const whole = isAbsolute(path) ? path : join(folder, path);
    if (!existsSync(whole)) throw wrong(`the kubeconfig names ${whole}, which is not there`);
    return readFileSync(whole, "utf8").trim();
  };
  return { cluster, user, namespace: (contextValue as Fields).namespace as string | undefined, file };
}
type Fields = Readonly<Record<string, unknown>>;

function source(given: string | undefined): { readonly text: string; readonly folder: string } {
  if (given !== undefined && /[\n{]/.test(given)) return { text: given, folder: process.cwd() };
  const all = given ?? process.env.KUBECONFIG ?? join(homedir(), ".kube", "config");
  const paths = all.split(delimiter).map((one) => one.replace(/^~(?=\/)/, homedir()));
  const path = paths.find((one) => existsSync(one));
  if (path === undefined) throw wrong(`no kubeconfig at ${paths.join(", ")}`, "name one");
  return { text: readFileSync(path, "utf8"), folder: dirname(path) };
}

/** Source: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/ */
interface Exec {
  readonly apiVersion: string;
  readonly command: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
}
interface Credential {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
  readonly expirationTimestamp?: string;
}
const kept = new Map<Exec, Credential>();

async function credentialOf(exec: Exec): Promise<Credential> {
  const known = kept.get(exec);
  const until = known?.expirationTimestamp;
  if (known !== undefined && (until === undefined || Date.parse(until) > Date.now() + 60_000)) return known;
  const info = { apiVersion: exec.apiVersion, kind: "ExecCredential", spec: { interactive: false } };
  const more = Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value]));
  const env = { ...process.env, ...more, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  const ran = promisify(execFile)(exec.command, exec.args ?? [], { env, timeout: 20_000 });
  const { stdout } = await ran.catch(({ stderr, message }) => {
    throw wrong(`${exec.command} gave no credential: ${String(stderr || message).trim()}`, "log in anew");
  });
  const { status = {} } = JSON.parse(stdout) as { readonly status?: Credential };
  kept.set(exec, status);
  return status;
}

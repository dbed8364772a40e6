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
  /** Asked for at each call, as tokens end. */
  readonly token: () => Promise<string | undefined>;
}

const wrong = (
  message: string,
  remedy = "see that `kubectl` works with the same file and context",
): InfraError => new InfraError({ code: "CLU-KUBECONFIG", message, remedy });

/**
 * What a kubeconfig says. Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 *
 * @param kubeconfig a text, or a path. Default: KUBECONFIG's first, then `~/.kube/config`
 * @param context default: the current one
 * @throws InfraError `CLU-KUBECONFIG`, `CLU-CONTEXT-UNKNOWN`
 */
export function accessOf(kubeconfig?: string, context?: string): Access {
  const { text, folder } = source(kubeconfig);
  const { cluster, user: known, contextValue } = chosenIn(text, context);
  const user = (known ?? {}) as Fields;
  for (const key of ["auth-provider", "username", "proxy-url"])
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
  const exec = user.exec as Exec | undefined;
  return {
    server: String(cluster.server).replace(/\/$/, ""),
    namespace: (contextValue as Fields).namespace as string | undefined,
    tls: {
      ca: file(cluster, "certificate-authority"),
      cert: file(user, "client-certificate"),
      key: file(user, "client-key"),
      servername: cluster["tls-server-name"] as string | undefined,
    },
    isUnverified: cluster["insecure-skip-tls-verify"] === true,
    token: async () =>
      exec ? tokenOf(exec) : ((user.token as string | undefined) ?? file(user, "tokenFile")),
  };
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
const kept = new Map<Exec, { readonly token: string; readonly until: number }>();

async function tokenOf(exec: Exec): Promise<string> {
  const known = kept.get(exec);
  if (known !== undefined && known.until > Date.now()) return known.token;
  const info = { apiVersion: exec.apiVersion, kind: "ExecCredential", spec: { interactive: false } };
  const more = Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value]));
  const env = { ...process.env, ...more, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  const ran = promisify(execFile)(exec.command, exec.args ?? [], { env, timeout: 60_000 });
  const { stdout } = await ran.catch(({ stderr, message }) => {
    throw wrong(`${exec.command} gave no credential: ${String(stderr || message).trim()}`, "log in anew");
  });
  const { token, expirationTimestamp: until } = JSON.parse(stdout).status ?? {};
  if (typeof token !== "string")
    throw wrong(`${exec.command} gave no token`, "certificates by `exec` are not built here");
  kept.set(exec, {
    token,
    until: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until) - 60_000,
  });
  return token;
}

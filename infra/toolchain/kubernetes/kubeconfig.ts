import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { InfraError } from "../../problem.js";
import { at } from "./kinds.js";

/** How an API server is reached, and as whom. */
export interface Access {
  readonly server: string;
  readonly namespace: string | undefined;
  readonly tls: Readonly<Record<"ca" | "cert" | "key" | "servername", string | undefined>>;
  readonly isUnverified: boolean;
  /** Asked for at each call, as tokens end. */
  readonly token: () => Promise<string | undefined>;
}
/** `kubeconfig` is a text, or a path. Absent: KUBECONFIG's first, then `~/.kube/config`. */
export type Chosen = Readonly<Partial<Record<"kubeconfig" | "context" | "cluster", string>>>;

const wrong = (
  message: string,
  remedy = "see that `kubectl` works with the same file and context",
): InfraError => new InfraError({ code: "K8S-KUBECONFIG", message, remedy });

/**
 * Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 *
 * @throws InfraError `K8S-KUBECONFIG`
 */
export function accessOf(chosen: Chosen): Access {
  const { text, folder } = source(chosen.kubeconfig);
  const config = read(text);
  const named = <T>(list: string, part: string, name: string | undefined): T | undefined =>
    at<{ name: string }[]>(config, list)
      ?.filter((one) => one.name === name)
      .map((one) => at<T>(one, part))[0];
  const contextName = chosen.context ?? at<string>(config, "current-context");
  const context = named<object>("contexts", "context", contextName);
  const there = at<{ name: string }[]>(config, "contexts")?.map(({ name }) => name);
  if (context === undefined)
    throw wrong(
      `the kubeconfig has no context ${JSON.stringify(contextName)} (it has: ${there?.join(", ")})`,
    );
  const cluster = named<object>("clusters", "cluster", chosen.cluster ?? at(context, "cluster"));
  const user = named<object>("users", "user", at(context, "user")) ?? {};
  const server = at<string>(cluster, "server");
  if (server === undefined) throw wrong("the kubeconfig's context names a cluster that it does not have");
  for (const key of ["auth-provider", "username", "proxy-url"])
    if (key in user || at(cluster, key) !== undefined) throw wrong(`${key} is not built into the stand-in`, "log in by `exec`, a token or a certificate"); // biome-ignore format: one line
  const file = (of: object | undefined, key: string, dataKey = `${key}-data`): string | undefined => {
    const [data, path] = [at<string>(of, dataKey), at<string>(of, key)];
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    if (path === undefined) return undefined;
    const whole = isAbsolute(path) ? path : join(folder, path);
    if (!existsSync(whole)) throw wrong(`the kubeconfig names ${whole}, which is not there`);
    return readFileSync(whole, "utf8").trim();
  };
  const exec = at<Exec>(user, "exec");
  return {
    server: server.replace(/\/$/, ""),
    namespace: at(context, "namespace"),
    tls: {
      ca: file(cluster, "certificate-authority"),
      cert: file(user, "client-certificate"),
      key: file(user, "client-key"),
      servername: at(cluster, "tls-server-name"),
    },
    isUnverified: at(cluster, "insecure-skip-tls-verify") === true,
    token: async () =>
      exec === undefined ? (at<string>(user, "token") ?? file(user, "tokenFile")) : tokenOf(exec),
  };
}

function source(given: string | undefined): { readonly text: string; readonly folder: string } {
  if (given !== undefined && /[\n{]/.test(given)) return { text: given, folder: process.cwd() };
  const all = given ?? process.env.KUBECONFIG ?? join(homedir(), ".kube", "config");
  const paths = all.split(delimiter).map((one) => one.replace(/^~(?=\/)/, homedir()));
  const path = paths.find((one) => existsSync(one));
  if (path === undefined)
    throw wrong(`no kubeconfig at ${paths.join(", ")}`, "give the provider `kubeconfig`");
  return { text: readFileSync(path, "utf8"), folder: dirname(path) };
}

function read(text: string): unknown {
  try {
    return parse(text);
  } catch {
    throw wrong("the kubeconfig is not YAML"); // what the parser says may quote a key
  }
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
  if (typeof token !== "string") throw wrong(`${exec.command} gave no token`, "certificates by `exec` are not built"); // biome-ignore format: one line
  kept.set(exec, {
    token,
    until: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until) - 60_000,
  });
  return token;
}

/** A real API server with real controllers, and no node: who needs one plays its kubelet. */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { kubernetesBinaries } from "./kubernetes-binaries.js";
import { freePorts, startStore, until } from "./servers.js";

export interface Answer {
  readonly status: number;
  readonly body: { readonly [key: string]: unknown; readonly message?: string };
}

export interface ControlPlane {
  readonly server: string;
  /** Its certificate, PEM. */
  readonly ca: string;
  /** An administrator's, JSON. Its certificate is a file of the plane's own. */
  readonly kubeconfig: string;
  /** As an administrator, or in another user's name. `PATCH` is a JSON merge patch. */
  call(
    method: "GET" | "POST" | "DELETE" | "PATCH",
    path: string,
    body?: object,
    user?: string,
  ): Promise<Answer>;
  stop(): Promise<void>;
}

/** All that works without nodes. */
const CONTROLLERS = [
  ...["deployment", "replicaset", "statefulset", "job", "endpoints", "persistentvolume-binder"],
  ...["persistentvolume-protection", "persistentvolumeclaim-protection"],
  ...["garbage-collector", "namespace", "serviceaccount", "resourcequota"],
];

/** About 20 s, and minutes before that where Kubernetes was never built on this machine. */
export async function startControlPlane(): Promise<ControlPlane> {
  const bin = await kubernetesBinaries();
  const folder = mkdtempSync(join(tmpdir(), "control-plane-"));
  const at = (name: string): string => join(folder, name);
  const [port] = await freePorts(1);
  const store = await startStore();
  const token = randomUUID();
  const server = `https://127.0.0.1:${port}`;
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(at("account.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(at("account.pub"), publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(at("tokens.csv"), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
  const children: ChildProcess[] = [];
  const start = (program: string, flags: Readonly<Record<string, string>>): ChildProcess => {
    const log = openSync(at(`${program}.log`), "a");
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(join(bin, program), args, { stdio: ["ignore", log, log], cwd: folder });
    children.push(child);
    return child;
  };
  const api = start("kube-apiserver", {
    "etcd-servers": `http://${store.endpoint}`,
    "bind-address": "127.0.0.1",
    "secure-port": String(port),
    "cert-dir": at("certificates"),
    "endpoint-reconciler-type": "none",
    "service-cluster-ip-range": "10.96.0.0/16",
    "service-account-issuer": "https://test",
    "service-account-key-file": at("account.pub"),
    "service-account-signing-key-file": at("account.key"),
    "authorization-mode": "RBAC",
    "token-auth-file": at("tokens.csv"),
  });
  let connections = new Agent({ connect: { rejectUnauthorized: false } });
  const call: ControlPlane["call"] = async (method, path, body, user) => {
    const answer = await request(`${server}${path}`, {
      method,
      dispatcher: connections,
      headers: {
        authorization: `Bearer ${token}`,
        ...(user === undefined ? {} : { "impersonate-user": user }),
        ...(body === undefined
          ? {}
          : { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: text.startsWith("{") ? JSON.parse(text) : { message: text } };
  };
  const end = async (): Promise<void> => {
    for (const child of children.reverse()) {
      child.kill("SIGTERM");
      await until(
        "the control plane's end",
        () => child.exitCode !== null || child.signalCode !== null,
        30,
      ).catch(() => child.kill("SIGKILL"));
    }
    await connections.destroy();
    await store.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ready = async (): Promise<boolean> => {
      if (api.exitCode !== null) throw new Error("kube-apiserver ended");
      return await call("GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      );
    };
    await until("kube-apiserver", ready, 120);
  } catch (error) {
    const log = readFileSync(at("kube-apiserver.log"), "utf8").slice(-3000);
    await end();
    throw new Error(`${String(error)}\n${log}`);
  }
  const ca = readFileSync(at("certificates/apiserver.crt"), "utf8");
  await connections.destroy();
  connections = new Agent({ connect: { ca } });
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server, "certificate-authority": at("certificates/apiserver.crt") } }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(at("kubeconfig"), JSON.stringify(config), { mode: 0o600 });
  start("kube-controller-manager", {
    kubeconfig: at("kubeconfig"),
    "leader-elect": "false",
    "secure-port": "0",
    "service-account-private-key-file": at("account.key"),
    controllers: CONTROLLERS.map((name) => `${name}-controller`).join(","),
  });
  return { server, ca, kubeconfig: readFileSync(at("kubeconfig"), "utf8"), call, stop: end };
}

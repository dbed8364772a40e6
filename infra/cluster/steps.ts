/** Each step of a cluster as a script for one machine, and the hash of all that it depends on. Pure. */
import { contentHash } from "../content-hash.js";
import { shellWord } from "../shell-word.js";
import { clusterFolder, type InventoryFiles, interfacesOf } from "./inventory.js";
import { checkScript } from "./scripts/check.js";
import { keyScript, kubeconfigScript, kubesprayScript, labelsScript, toolScript } from "./scripts/control.js";
import { leaveScript, prepareScript } from "./scripts/prepare.js";
import { progressCallback } from "./scripts/progress.js";
import { runnerScript } from "./scripts/runner.js";
import { script } from "./scripts/script.js";
import { type Host, type KubesprayOptions, parseNetwork, seconds } from "./spec.js";

/** What one remote command does. */
export interface Step {
  /** For `bash -s` on standard input; its argument is `do`, or `undo` where the step can be taken back. */
  readonly script: string;
  /** Changes when the step has to be done again, and not otherwise. */
  readonly hash: string;
}

function step(text: string): Step {
  return { script: text, hash: contentHash(text) };
}

/** Looks at a host and changes nothing. */
export function checkStep(name: string, host: Host, options: KubesprayOptions, onFabric: boolean): Step {
  return step(
    script(
      {
        HOST: name,
        RAM_MB: Math.floor(options.minimum.ram * 1000),
        DISK_GB: Math.floor(options.minimum.disk),
        MAC: host.network?.mac.toLowerCase() ?? "",
        DATA: host.dataAddress ?? "",
        INTERFACES: (options.plugin === "flannel" ? interfacesOf(options, onFabric) : undefined) ?? "",
      },
      checkScript,
    ),
  );
}

/** Makes the cluster's folder and key on the control node; writes its public key. */
export function keyStep(cluster: string): Step {
  return step(script({ FOLDER: clusterFolder(cluster) }, keyScript));
}

/**
 * Makes a host ready.
 *
 * @param publicKey the cluster's, from {@link keyStep}
 */
export function prepareStep(
  cluster: string,
  name: string,
  host: Host,
  options: KubesprayOptions,
  publicKey: string,
): Step {
  const bits = host.network === undefined ? undefined : parseNetwork(host.network.subnet)?.bits;
  return step(
    script(
      {
        HOST: name,
        CLUSTER: cluster,
        MAC: host.network?.mac.toLowerCase() ?? "",
        ADDRESS: bits === undefined ? "" : `${host.dataAddress}/${bits}`,
        ROUTES: (host.network?.routes ?? []).map(({ to, via }) => `${to} ${via}`).join("\n"),
        NAT64: options.nat64 === false ? "" : options.nat64.join("\n"),
        OUTBOUND: options.outbound.map(hostAndPort).join("\n"),
        KEY: publicKey.trim(),
      },
      prepareScript,
    ),
  );
}

/** Kubespray and the runner on the control node. */
export function kubesprayStep(cluster: string, control: string, options: KubesprayOptions): Step {
  const source = sourceOf(options);
  const tools = {
    "cluster.sh": runnerScript,
    // Ansible finds a plugin by the name of its file.
    "dynamos_fabric_progress.py": progressCallback,
    "leave.sh": leaveScript,
  };
  const install = [
    "install_tools() {",
    "mkdir -p tools",
    ...Object.entries(tools).flatMap(([file, text]) => putLines(`tools/${file}`, text)),
    "}",
  ].join("\n");
  return step(
    script(
      {
        HOST: control,
        FOLDER: clusterFolder(cluster),
        SOURCE: source,
        SOURCE_ID: contentHash(source).slice(0, 12),
      },
      install,
      kubesprayScript,
    ),
  );
}

/** Where Kubespray comes from: the archive of a tag, or another of the same form. */
export function sourceOf({ kubespray }: Pick<KubesprayOptions, "kubespray">): string {
  const tag = kubespray.version.replace(/^v?/, "v");
  return kubespray.source ?? `https://github.com/kubernetes-sigs/kubespray/archive/refs/tags/${tag}.tar.gz`;
}

/**
 * Brings the cluster to its inventory. Which playbooks that takes is decided on the control node, by what was completed there: `cluster.yml`,
 * `scale.yml` for hosts that came, `remove-node.yml` for those that left, or none.
 *
 * @param kubespray the hash of {@link kubesprayStep}: another Kubespray is another cluster to bring about
 * @param resettable names of hosts that live on when the cluster is destroyed
 */
export function applyStep(
  cluster: string,
  files: InventoryFiles,
  options: KubesprayOptions,
  kubespray: string,
  resettable: readonly string[],
): Step {
  const key = contentHash({ files, kubespray });
  const survivors = [...resettable].sort();
  const sorted = Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1));
  const put = sorted.flatMap(([file, text]) => putLines(`wanted.new/${file}`, text));
  const run = `exec bash tools/cluster.sh follow`;
  const limit = seconds(options.deadline);
  return step(
    script(
      { FOLDER: clusterFolder(cluster) },
      [
        "main() {",
        'cd "$HOME/$FOLDER" || exit 1',
        "umask 077",
        'if [ "$1" = undo ]; then',
        `[ -d applied ] || exit 0`,
        // The folder goes with the cluster, unless the reset failed.
        `bash tools/cluster.sh follow ${contentHash({ reset: survivors })} ${limit} reset ${survivors.map(shellWord).join(" ")} || exit`,
        'cd "$HOME" && rm -rf "$FOLDER"',
        "exit 0",
        "fi",
        "rm -rf wanted.new",
        ...put,
        "rm -rf wanted && mv wanted.new wanted",
        `${run} ${key} ${limit} apply`,
        "}",
      ].join("\n"),
    ),
  );
}

/** Labels of all hosts. */
export function labelsStep(
  cluster: string,
  labels: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Step {
  const lines = Object.entries(labels).flatMap(([name, ofHost]) =>
    Object.entries(ofHost).map(([key, value]) => `${name} ${key}=${value}`),
  );
  return step(script({ FOLDER: clusterFolder(cluster), LABELS: lines.sort().join("\n") }, labelsScript));
}

/** Writes the kubeconfig: done again when its cluster's control plane is another. */
export function kubeconfigStep(cluster: string, core: unknown): Step {
  const text = script({ FOLDER: clusterFolder(cluster) }, kubeconfigScript);
  return { script: text, hash: contentHash({ text, core }) };
}

export const toolNames = ["k9s", "helm"] as const;
export type ToolName = (typeof toolNames)[number];

/** A program at a pinned version on the control node; undefined when it is not wanted. */
export function toolStep(tool: ToolName, options: KubesprayOptions): Step | undefined {
  const wanted = options.tools[tool];
  if (wanted === false) return undefined;
  const version = wanted.version.replace(/^v?/, "v");
  const usual = {
    k9s: `https://github.com/derailed/k9s/releases/download/${version}/k9s_Linux_ARCH.tar.gz`,
    helm: `https://get.helm.sh/helm-${version}-linux-ARCH.tar.gz`,
  };
  return step(script({ TOOL: tool, VERSION: version, FROM: wanted.from ?? usual[tool] }, toolScript));
}

function putLines(file: string, text: string): readonly string[] {
  return [`mkdir -p "$(dirname ${shellWord(file)})"`, `printf %s ${shellWord(text)} >${shellWord(file)}`];
}

function hostAndPort(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname.replace(/^\[|\]$/g, "")} ${port === "" ? (protocol === "http:" ? 80 : 443) : port}`;
}

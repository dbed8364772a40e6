/** Kubernetes' own programs, built from its Go modules. */
import { readFileSync } from "node:fs";
import { goPrograms } from "./go-programs.js";

export const kubernetesVersion = "1.34.4";
const controlPlane = ["kube-apiserver", "kube-controller-manager"] as const;
/** All that a cluster runs, and its command line. */
export const kubernetesCommands = [
  ...controlPlane,
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
  "kubectl",
] as const;
export type KubernetesCommand = (typeof kubernetesCommands)[number];

/** The folder that holds these programs. Default: what a control plane without nodes needs. */
export async function kubernetesBinaries(
  commands: readonly KubernetesCommand[] = controlPlane,
): Promise<string> {
  const [major, minor] = kubernetesVersion.split(".");
  return await goPrograms({
    unit: `kubernetes-${kubernetesVersion}`,
    packages: Object.fromEntries(commands.map((command) => [command, `k8s.io/kubernetes/cmd/${command}`])),
    requirements: async (go) => {
      const { GoMod } = JSON.parse(
        await go("mod", "download", "-json", `k8s.io/kubernetes@v${kubernetesVersion}`),
      ) as { GoMod: string };
      // Kubernetes names its own parts as v0.0.0: they are published as v0 of the same version.
      const staging = [...readFileSync(GoMod, "utf8").matchAll(/^\s*(k8s\.io\/[a-z-]+) v0\.0\.0\s*$/gm)].map(
        ([, name]) => `replace ${name} => ${name} v${kubernetesVersion.replace(/^1/, "0")}`,
      );
      return [`require k8s.io/kubernetes v${kubernetesVersion}`, ...staging];
    },
    linkerFlags: [
      ...["component-base", "client-go/pkg"].map(
        (at) => `-X k8s.io/${at}/version.gitVersion=v${kubernetesVersion}`,
      ),
      `-X k8s.io/component-base/version.gitMajor=${major}`,
      `-X k8s.io/component-base/version.gitMinor=${minor}`,
    ].join(" "),
  });
}

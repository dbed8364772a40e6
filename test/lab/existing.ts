/** examples/existing-cluster in a project of its own, and what its README asks of a cluster: images and folders on the nodes. */
import { copyFileSync, cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { archiveDigest } from "../../dynamos/images/archive.js";
import { type ImageLock, LOCK_FILE, lockedImages } from "../../dynamos/images/lock.js";
import { allObjects, foldersByNode, imagesByNode, planKubernetes } from "../../dynamos/kubernetes/plan.js";
import { partyDataFolder } from "../../dynamos/kubernetes/volumes.js";
import type { UsersInput } from "../../dynamos/services.js";
import { shellWord } from "../../infra/shell-word.js";
import { IMAGE_USER } from "../../policy/contract/images.js";
import { TestStack } from "../support/engine.js";
import type { Lab } from "./lab.js";
import { serverImages, serverReferences } from "./server-images.js";
import { serviceImages } from "./service-images.js";

export interface Placing {
  readonly core: string;
  /** Node by party. */
  readonly agents: Readonly<Record<string, string>>;
  readonly users: UsersInput;
}

/** The project, ready for `up` on the cluster of a kubeconfig. */
export async function existingCluster(lab: Lab, kubeconfig: string, market: Placing): Promise<TestStack> {
  const stack = new TestStack({
    project: "existing-cluster",
    stack: "existing",
    program: 'module.exports = async () => ({ ...(await import("./index.mjs")) });',
    config: { "existing-cluster:market": market },
    env: { ...lab.env, KUBECONFIG: kubeconfig },
  });
  const project = stack.folder;
  copyFileSync(resolve("examples/existing-cluster/index.mjs"), join(project, "index.mjs"));
  cpSync(resolve("examples/titanic"), join(project, "titanic"), { recursive: true });
  const archives = await serviceImages(project, "titanic");
  nameServers(join(project, LOCK_FILE), await serverImages());
  await prepareNodes(lab, project, archives, market);
  return stack;
}

/** Where there is no registry, the lock names broker and store too. */
function nameServers(file: string, folder: string): void {
  const lock = JSON.parse(readFileSync(file, "utf8")) as ImageLock;
  const servers = Object.entries(serverReferences).map(([name, image]) => [
    name,
    { image, digest: archiveDigest(join(folder, `${name}.tar`)) },
  ]);
  const images = { ...lock.images, ...Object.fromEntries(servers) };
  // Its archives are on the nodes already.
  writeFileSync(file, JSON.stringify({ ...lock, archives: undefined, images }));
}

async function prepareNodes(
  lab: Lab,
  project: string,
  archives: string,
  { core, agents, users }: Placing,
): Promise<void> {
  const images = lockedImages(project, "titanic");
  const placement = {
    core,
    agents: Object.entries(agents).map(([party, node]) => ({ party, node, role: "agent" as const })),
  };
  const objects = allObjects(planKubernetes({ placement, options: { images, users } }));
  const [folders, wanted] = [foldersByNode(objects), imagesByNode(objects)];
  const servers = await serverImages();
  const fileOf = (image: string): string => {
    const name = Object.entries(images.references).find(([, known]) => known.image === image)?.[0] ?? "";
    return join(name in serverReferences ? servers : archives, `${name}.tar`);
  };
  const ctr = `sudo ${join(lab.programs.node, "ctr")} -n k8s.io images import`;
  await Promise.all(
    Object.keys(folders).map(async (node) => {
      const own = (folders[node] ?? []).map(shellWord).join(" ");
      const imports = (wanted[node] ?? []).map((image) => `${ctr} ${fileOf(image)} >/dev/null`);
      const make = `sudo install -d -o ${IMAGE_USER} -g ${IMAGE_USER} -m 750 ${own}`;
      await lab.testbed.on(node, [...imports, make].join(" && "));
    }),
  );
  for (const [party, node] of Object.entries(agents)) {
    const text = readFileSync(resolve(`examples/titanic/data/${party}/titanic.csv`), "base64");
    const file = `${partyDataFolder(party)}/titanic.csv`;
    await lab.testbed.on(node, `echo ${text} | base64 -d | sudo tee ${file} >/dev/null && sudo chown ${IMAGE_USER} ${file}`); // biome-ignore format: one line
  }
}

/** Files of this machine on the nodes of a cluster, each on its own node only. */
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { contentHash } from "../content-hash.js";
import { InfraError, type Problem } from "../problem.js";
import { pathText } from "../problems-of-schema.js";
import type { ClusterHostArgs } from "./kubespray-args.js";
import type { NodeFile, NodeFolder } from "./node-folder.js";
import { loadCommand } from "./peer.js";
import { reaching, remoteStep, targetOf } from "./remote-step.js";
import { placeScript, roomScript, thereScript } from "./scripts/files.js";
import { script } from "./scripts/script.js";
import { seconds } from "./spec.js";
import type { Step } from "./steps.js";

export interface NodeFilesArgs {
  /** How the nodes are logged in to: what a `KubesprayCluster` is given. Those that no folder names are not asked. */
  readonly hosts: Readonly<Record<string, ClusterHostArgs>>;
  /** Plain: they decide which resources exist. */
  readonly folders: readonly NodeFolder[];
  /** The user and group (a number) that the files belong to; the group may read, others nothing. */
  readonly owner: number;
  /** How long a node may not answer: seconds, minutes or hours. Default `5m`. */
  readonly patience?: string;
}

/** Seconds that a copy may take beside a second for each MB. */
const patienceOfCopy = 600;
const slowest = 1_000_000;

/**
 * Files on nodes, over SSH. Each is copied as it is (its content is never in the state or in a command line), looked at by its checksum on the node, and put in its
 * place by a rename. What is unchanged runs nothing. A destroy takes away what was put there and nobody changed, except on nodes with `reset: false`,
 * which end with their stack.
 *
 * Errors of a node: CLU-DISK-FULL, CLU-FILE-CHECKSUM, CLU-FILE-MISSING, CLU-FILE-CLOSED, and those of a way that does not lead there.
 *
 * @example
 * ```ts
 * new NodeFiles("lab", {
 *   hosts,
 *   owner: 10001,
 *   folders: [{ node: "losa", folder: "/var/lib/dynamos-fabric/data", files: [{ name: "a.csv", path: "/home/ada/a.csv", sha256, bytes }] }],
 * });
 * ```
 */
export class NodeFiles extends pulumi.ComponentResource {
  /** Done when all is there, to depend on. */
  readonly placed: readonly pulumi.Resource[];

  /** @throws InfraError CLU-HOST-UNKNOWN, CLU-FILE-NAME, CLU-FILE-TWICE */
  constructor(name: string, args: NodeFilesArgs, options?: pulumi.ComponentResourceOptions) {
    const { hosts, folders, owner } = args;
    const problems = [...folders.flatMap((f) => folderProblems(f, hosts)), ...twiceProblems(folders)];
    if (problems.length > 0) throw new InfraError(problems);
    super("dynamos-fabric:cluster:NodeFiles", name, {}, options);
    const patience = seconds(args.patience ?? "5m");
    this.placed = folders.map(({ node, folder, files }) => {
      const on = targetOf(node, hosts[node]);
      const label = `${name}-${node}-${folder}`;
      const run = (
        resource: string,
        step: string,
        what: Step,
        after: readonly pulumi.Resource[],
        undo = false,
      ): remote.Command =>
        remoteStep(
          resource,
          { step, on, what, undo, limit: patienceOfCopy + Math.ceil(all / slowest), patience },
          { parent: this, dependsOn: [...after] },
        );
      const all = (files ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
      if (files === undefined) return run(label, "look", thereStep(node, folder, owner), []);
      const room =
        files.length === 0 ? [] : [run(`${label}-room`, "room", roomStep(node, folder, files), [])];
      const copies = files.map((file) => {
        const resource = `${label}/${file.name}`;
        const { connection, hooks } = reaching(resource, { step: `copy of ${file.name}`, on, patience });
        const time = `${Math.ceil(patienceOfCopy + patience + file.bytes / slowest)}s`;
        return new (loadCommand().remote.CopyToRemote)(
          resource,
          {
            connection,
            source: new pulumi.asset.FileAsset(file.path),
            remotePath: `${stageOf(folder)}/${stagedName(file)}`,
            triggers: [file.sha256],
          },
          { parent: this, dependsOn: room, customTimeouts: { create: time, update: time }, hooks },
        );
      });
      const lives = hosts[node]?.reset !== false;
      return run(label, "files", placeStep(node, folder, files, owner), [...room, ...copies], lives);
    });
    this.registerOutputs({});
  }
}

function roomStep(node: string, folder: string, files: readonly NodeFile[]): Step {
  return stepOf({ NODE: node, STAGE: stageOf(folder), FOLDER: folder, FILES: listOf(files) }, roomScript);
}

function placeStep(node: string, folder: string, files: readonly NodeFile[], owner: number): Step {
  const values = { NODE: node, STAGE: stageOf(folder), FOLDER: folder, FILES: listOf(files), OWNER: owner };
  return stepOf(values, placeScript);
}

function thereStep(node: string, folder: string, owner: number): Step {
  return stepOf({ NODE: node, FOLDER: folder, OWNER: owner }, thereScript);
}

function stepOf(values: Parameters<typeof script>[0], text: string): Step {
  const whole = script(values, text);
  return { script: whole, hash: contentHash(whole) };
}

/** Where copies wait, below the home of the login. */
const stageOf = (folder: string): string => `.dynamos-fabric-files/${contentHash(folder).slice(0, 16)}`;
const stagedName = ({ name, sha256 }: NodeFile): string =>
  `${contentHash(name).slice(0, 12)}-${sha256.slice(0, 16)}`;
const listOf = (files: readonly NodeFile[]): string =>
  files.map((file) => `${file.sha256} ${stagedName(file)} ${file.bytes} ${file.name}`).join("\n");

function folderProblems({ node, folder, files = [] }: NodeFolder, hosts: NodeFilesArgs["hosts"]): Problem[] {
  const unknown: Problem = {
    code: "CLU-HOST-UNKNOWN",
    path: pathText(["folders", node]),
    message: `there is no node ${JSON.stringify(node)}`,
    remedy: `it is one of: ${Object.keys(hosts).join(", ")}`,
  };
  const wrong = (name: string): Problem => ({
    code: "CLU-FILE-NAME",
    path: pathText(["folders", node]),
    message: `${JSON.stringify(name)} cannot be put on a node`,
    remedy: "write absolute folders, and below them names without . and .. or ends of lines",
  });
  const good = folder.startsWith("/") && isPlain(folder.slice(1));
  return [
    ...(hosts[node] === undefined ? [unknown] : []),
    ...(good ? [] : [wrong(folder)]),
    ...files.filter(({ name }) => !isPlain(name)).map(({ name }) => wrong(name)),
  ];
}

/** Two lists for one folder would take each other's files away. */
function twiceProblems(folders: readonly NodeFolder[]): Problem[] {
  const places = folders.map(({ node, folder }) => `${node}:${folder}`);
  return places
    .filter((place, i) => places.indexOf(place) !== i)
    .map((place) => ({
      code: "CLU-FILE-TWICE",
      path: "folders",
      message: `${place} is named twice`,
      remedy: "give all its files in one list",
    }));
}

function isPlain(path: string): boolean {
  return path.split("/").every((part) => !["", ".", ".."].includes(part)) && !/\p{Cc}|\\|^ | $/u.test(path);
}

/** Each party's data on its own node of a cluster: which files, and where they go. */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { NodeFile, NodeFolder } from "../infra/cluster/node-folder.js";
import type { Problem } from "../infra/problem.js";
import type { AgentPlace } from "./placement.js";
import type { MarketplaceSpec } from "./spec.js";

/** Where a party's data are in an experiment. */
export const dataFolder = (experiment: string, party: string): string => join(experiment, "data", party);

/** What {@link stewardFolders} needs to know. */
export interface StewardDataInput {
  /** The experiment's folder, absolute. */
  readonly experiment: string;
  readonly agents: readonly AgentPlace[];
  /** Where a party's volume lies on its node (`foldersByNode` of the plan). */
  readonly folderOf: (party: string) => string;
}

/**
 * The folders that the component `NodeFiles` fills or looks at: for each party the files of the experiment's `data/<party>`, or the folder of its node that
 * `nodes.<node>.data` names. Reads every file once, as a stream, for its checksum.
 */
export async function stewardFolders(input: StewardDataInput): Promise<NodeFolder[]> {
  const { experiment, agents, folderOf } = input;
  return await Promise.all(
    agents.map(async ({ party, node, data }): Promise<NodeFolder> => {
      if (data !== undefined) return { node, folder: data };
      const files = await filesBelow(dataFolder(experiment, party));
      return { node, folder: folderOf(party), files };
    }),
  );
}

/** All files of a folder but hidden ones, by name; none where there is no folder. */
async function filesBelow(folder: string): Promise<NodeFile[]> {
  const files: NodeFile[] = [];
  for (const name of namesBelow(folder)) {
    const path = join(folder, name);
    const hash = createHash("sha256");
    await pipeline(createReadStream(path), hash);
    files.push({ name, path, sha256: hash.digest("hex"), bytes: statSync(path).size });
  }
  return files;
}

function namesBelow(folder: string, below = ""): string[] {
  if (!isFolder(join(folder, below))) return [];
  return readdirSync(join(folder, below))
    .filter((name) => !name.startsWith("."))
    .sort()
    .flatMap((name) => {
      const path = below === "" ? name : `${below}/${name}`;
      return isFolder(join(folder, path)) ? namesBelow(folder, path) : [path];
    });
}

/**
 * What is wrong with where the nodes' data are to be. Takes the nodes as written.
 *
 * Codes: SPEC-DATA-ROLE; on this machine, where it can be seen, SPEC-DATA-MISSING.
 */
export function dataProblems(nodes: unknown, target: unknown): Problem[] {
  if (typeof nodes !== "object" || nodes === null) return [];
  const named = Object.entries(nodes as Readonly<Record<string, Written | null>>).flatMap(([name, node]) =>
    node?.data === undefined ? [] : [{ path: `nodes.${name}.data`, ...node }],
  );
  return named.flatMap(({ path, role, data }): Problem[] => {
    if (role === "core" || role === "control")
      return [
        {
          code: "SPEC-DATA-ROLE",
          path,
          message: `a node of role ${role} runs no party that could read them`,
          remedy: "remove data, or make the role agent",
        },
      ];
    if (target !== "local" || typeof data !== "string" || isFolder(data)) return [];
    const message = `there is no folder ${data} on this machine`;
    return [{ code: "SPEC-DATA-MISSING", path, message, remedy: "put the data there, or correct the path" }];
  });
}

/** A node as written. */
interface Written {
  readonly data?: unknown;
  readonly role?: unknown;
}

/** Data that nobody brings to where they are needed: a cluster that was there before has no login. Code SPEC-DATA-NOT-COPIED. */
export function uncopiedData(
  { target }: Pick<MarketplaceSpec, "target">,
  agents: readonly AgentPlace[],
  experiment: string,
): Problem[] {
  if (target !== "kubernetes") return [];
  return agents
    .filter(({ party, data }) => data === undefined && namesBelow(dataFolder(experiment, party)).length > 0)
    .map(({ party, node }) => ({
      code: "SPEC-DATA-NOT-COPIED",
      path: `nodes.${node}`,
      message: `data/${party} is not brought to the node: on a cluster that was there before, nobody logs in to nodes`,
      remedy: `put the files on the node and name their folder: nodes.${node}.data`,
    }));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Folders of a machine that pods keep things in. */
import type { remote } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import { contentHash } from "../content-hash.js";
import { remoteStep, type Target } from "./remote-step.js";
import { foldersScript } from "./scripts/node.js";
import { script } from "./scripts/script.js";

const limit = 5 * 60;
const patience = 5 * 60;

export interface NodeFoldersArgs {
  readonly on: Target;
  /** Absolute paths. */
  readonly folders: readonly string[];
  /** Number of the user and group they belong to. */
  readonly owner: number;
}

/**
 * Makes folders on a machine, for their owner and its group alone. One that is there keeps what is in it; none is ever taken away.
 *
 * Errors at `up`: CLU-FOLDER, and those of any remote step.
 */
export function nodeFolders(
  name: string,
  { on, folders, owner }: NodeFoldersArgs,
  options: pulumi.CustomResourceOptions,
): remote.Command {
  const text = script(
    { HOST: on.name, FOLDERS: [...folders].sort().join("\n"), OWNER: owner },
    foldersScript,
  );
  const what = { script: text, hash: contentHash(text) };
  return remoteStep(name, { step: "folders", on, what, limit, patience }, options);
}

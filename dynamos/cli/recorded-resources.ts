import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectName } from "../stack-folder.js";
import type { CommandContext } from "./context.js";

/** A resource as the engine recorded it. */
export interface RecordedResource {
  readonly type?: string;
  readonly id?: string;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** What the engine recorded in the stack's file backend; nothing where the state is elsewhere. */
export function recordedResources({
  project,
  stack,
  state,
}: Pick<CommandContext, "project" | "stack" | "state">): readonly RecordedResource[] {
  try {
    const text = readFileSync(
      join(state, "backend", ".pulumi", "stacks", projectName(project), `${stack}.json`),
      "utf8",
    );
    const { checkpoint } = JSON.parse(text) as {
      readonly checkpoint?: { readonly latest?: { readonly resources?: readonly RecordedResource[] } };
    };
    return checkpoint?.latest?.resources ?? [];
  } catch (error) {
    // Not there, or cut off by a kill: what else is known of the stack is shown all the same.
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return [];
    throw error;
  }
}

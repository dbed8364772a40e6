import type { CommandContext } from "./context.js";

/** Only where the stack is. A context must not be spread: that would read its configuration. */
export function place({
  project,
  stack,
  state,
}: CommandContext): Pick<CommandContext, "project" | "stack" | "state"> {
  return { project, stack, state };
}

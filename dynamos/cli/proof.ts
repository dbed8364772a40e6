import type { CommandContext } from "./context.js";

/**
 * What `up` ends with: a real approved training, the gateway's URL and what to do next.
 */
export async function afterUp(_context: CommandContext): Promise<void> {}

/** What the command's exit code means. */
export const exitCodes = {
  ok: 0,
  /** Something broke or was wrong. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The policy said no: a decision, not a fault. */
  refused: 3,
} as const;

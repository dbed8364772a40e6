import { CodedError } from "./problem.js";

/** Files of one answer, and bytes: of one file, and of all that one job has at one agent at the same time. They lie on disk, never in memory. */
export const FILE_LIMITS = { count: 64, bytes: 1024 ** 3, jobBytes: 4 * 1024 ** 3 } as const;

/**
 * Files by name, as `metadata.files` of a `microserviceCommunication` says them: to and from a microservice with their paths, between agents with
 * their sizes.
 *
 * @throws CodedError `BUS-MALFORMED`
 */
export function readFiles<T extends string | number>(
  text: string | undefined,
  kind: "string" | "number",
): Record<string, T> {
  if (text === undefined) return {};
  let files: unknown;
  try {
    files = JSON.parse(text);
  } catch {
    // told below
  }
  const entries =
    typeof files === "object" && files !== null && !Array.isArray(files) ? Object.entries(files) : undefined;
  if (entries?.every(([, value]) => typeof value === kind) && entries.length <= FILE_LIMITS.count)
    return Object.fromEntries(entries) as Record<string, T>;
  throw new CodedError({
    code: "BUS-MALFORMED",
    path: "metadata.files",
    message: `${text.slice(0, 80)} names no files (at most ${FILE_LIMITS.count})`,
    remedy: "does the sender speak the same protocol version?",
  });
}

import type { DocumentKind } from "../contract/documents.js";
import type { Problem } from "../contract/problem.js";

/** A document's content and etcd's revision of its last change. */
export interface Version {
  readonly sha256: string;
  readonly revision: number;
}

/** The three that must be brought together: the file, what the stack wrote last, and what is live. */
export interface DriftInput {
  readonly kind: DocumentKind;
  readonly name: string;
  /** `revision`: the live revision that the file says it replaces. */
  readonly file: { readonly sha256: string; readonly revision?: number | undefined };
  /** Undefined: the stack has not written it yet. */
  readonly last?: Version | undefined;
  /** Undefined: there is none. */
  readonly live?: Version | undefined;
  /** Whether the store still knows what the stack wrote last; a new store does not, and what it lacks was taken away by nobody. */
  readonly remembered: boolean;
}

/** What `up` does about a document. */
export type DriftVerdict =
  /** The live document is the file's. */
  | { readonly kind: "same"; readonly live: Version }
  /** Put the file's, provided that the live revision is still this one (0: none). */
  | { readonly kind: "write"; readonly ifRevision: number }
  /** Changed through the API since the stack wrote it, the file is as it was: nothing is done, and the person is told. */
  | { readonly kind: "drift"; readonly problem: Problem }
  /** Changed through the API and in the file: neither may win unseen. */
  | { readonly kind: "conflict"; readonly problem: Problem };

/**
 * Decides between the two writers of a document, the stack and the API (DESIGN 10). The stack overwrites only what it wrote itself, or the
 * revision that the file names; what the API narrowed or took away is never given again by an `up`.
 */
export function driftOf(input: DriftInput): DriftVerdict {
  const { file, last, live } = input;
  const liveRevision = live?.revision ?? 0;
  if (live !== undefined && live.sha256 === file.sha256) return { kind: "same", live };
  if (live === undefined && (last === undefined || !input.remembered))
    return { kind: "write", ifRevision: 0 };
  if (file.revision === liveRevision) return { kind: "write", ifRevision: liveRevision };
  if (live !== undefined && last !== undefined && live.sha256 === last.sha256)
    return { kind: "write", ifRevision: live.revision };
  if (last !== undefined && last.sha256 === file.sha256)
    return { kind: "drift", problem: problemOf(input, "drift") };
  return { kind: "conflict", problem: problemOf(input, "conflict") };
}

function problemOf({ kind, name, last, live }: DriftInput, found: "drift" | "conflict"): Problem {
  const agreement = kind === "agreement";
  const since = last === undefined ? "" : ` since the stack wrote revision ${last.revision}`;
  const done =
    live === undefined
      ? `was taken away through the orchestrator's API${since}`
      : `was changed through the orchestrator's API${since}: it is at revision ${live.revision}`;
  const rest =
    found === "drift"
      ? "up leaves it so"
      : last === undefined
        ? "and the file says otherwise"
        : "and the file was changed as well";
  const revision = `"$revision": ${live?.revision ?? 0}`;
  return {
    code: `${agreement ? "POL-AGREEMENT" : "DOC"}-${found === "drift" ? "DRIFT" : "CONFLICT"}`,
    path: `${kind} ${name}`,
    message: `${done}; ${rest}`,
    remedy: agreement
      ? `\`dynamos-fabric agreements pull\` writes it into the file; ${revision} in the file puts the file's in its place`
      : `make the file the same, or put ${revision} into it to put the file's in its place`,
  };
}

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { DOCUMENT_KINDS, type DocumentKind } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { type DriftVerdict, driftOf, type Version } from "./document-drift.js";
import type { DocumentsApi, LiveDocument } from "./documents-api.js";
import { answering } from "./patience.js";
import { base64, fromBase64, prefixEnd, type StoreGateway } from "./store-gateway.js";

/** A document as a deployment wants it: the content of one file. */
export interface WantedDocument {
  readonly kind: DocumentKind;
  readonly name: string;
  readonly document: unknown;
  /** The live revision that it may replace, whatever it is. */
  readonly replaces?: number;
}

/** What was done, for the log: `agreement clientone` for each. */
export interface DocumentsDone {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  /** Changed through the API since, and left so. */
  readonly left: readonly Problem[];
}

/** What a deployment wrote last of a document, at the store. */
interface Deployed {
  readonly document: unknown;
  readonly revision: number;
  /** What it was about to write: it may have ended before it could note that it had. */
  readonly next?: unknown;
}

/** What documents name comes before those that name it, and rights come last. */
const ORDER: readonly DocumentKind[] = [
  ...DOCUMENT_KINDS.filter((kind) => kind !== "requestType" && kind !== "agreement"),
  "requestType",
  "agreement",
];

/** Reads a folder of documents, a file each, as a cluster mounts it. */
export function readDocuments(folder: string): readonly WantedDocument[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as WantedDocument);
}

/**
 * Makes the running marketplace's documents these, and takes away those that an earlier deployment wrote and this one has not. What the API changed
 * is never overwritten: an unchanged file leaves it so, a changed one is refused, unless it names the live revision. All are looked at before one
 * is changed.
 *
 * @param store etcd as the user `setup` sees it, which keeps what was written last
 * @throws CodedError `POL-AGREEMENT-CONFLICT`, `DOC-CONFLICT`, `ORC-UNREACHABLE` when it does not answer in time, and what the orchestrator answered
 */
export async function applyDocuments(
  api: DocumentsApi,
  store: StoreGateway,
  documents: readonly WantedDocument[],
  patienceMs?: number,
): Promise<DocumentsDone> {
  const last = await answering(() => deployedOf(store), patienceMs);
  const sorted = [...documents].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const looked = [];
  for (const wanted of sorted) {
    const live = await answering(() => api.get(wanted.kind, wanted.name), patienceMs);
    const known = last.get(KEY.deployed(wanted.kind, wanted.name));
    looked.push({ wanted, live, known, verdict: verdictOf(wanted, live, known) });
  }
  const conflicts = looked.flatMap(({ verdict }) => (verdict.kind === "conflict" ? [verdict.problem] : []));
  if (conflicts.length > 0) throw refusalOf(conflicts);

  const written: string[] = [];
  for (const { wanted, live, known, verdict } of looked) {
    const { kind, name, document } = wanted;
    const key = KEY.deployed(kind, name);
    if (verdict.kind === "write") {
      // Noted before it is done: else one that ends between the two would take its own document for somebody else's.
      await note(store, key, {
        document: known?.document ?? null,
        revision: known?.revision ?? 0,
        next: document,
      });
      const revision = await api.put(kind, name, document, verdict.ifRevision);
      await note(store, key, { document, revision });
      written.push(`${kind} ${name}`);
    } else if (verdict.kind === "same" && !isDeepStrictEqual(known?.document, document))
      await note(store, key, { document, revision: live?.revision ?? 0 });
  }
  const removed = await removeOthers(api, store, [...last.keys()], documents);
  return {
    written,
    removed,
    left: looked.flatMap(({ verdict }) => (verdict.kind === "drift" ? [verdict.problem] : [])),
  };
}

function verdictOf(
  { kind, name, document, replaces }: WantedDocument,
  live: LiveDocument | undefined,
  known: Deployed | undefined,
): DriftVerdict {
  // Equal contents have equal marks; that is all that counts.
  const contents: unknown[] = [];
  const version = (content: unknown, revision: number): Version => {
    const found = contents.findIndex((one) => isDeepStrictEqual(one, content));
    return { sha256: String(found === -1 ? contents.push(content) - 1 : found), revision };
  };
  const own = known?.next !== undefined && isDeepStrictEqual(known.next, live?.document);
  const last = own && live !== undefined ? { document: live.document, revision: live.revision } : known;
  return driftOf({
    kind,
    name,
    file: { ...version(document, 0), revision: replaces },
    // A write that never came about was the first.
    last: last === undefined || last.document === null ? undefined : version(last.document, last.revision),
    live: live === undefined ? undefined : version(live.document, live.revision),
    // What was written last is known by the store itself: a new one knows nothing.
    remembered: true,
  });
}

async function removeOthers(
  api: DocumentsApi,
  store: StoreGateway,
  keys: readonly string[],
  kept: readonly WantedDocument[],
): Promise<string[]> {
  const gone = keys
    .map((key) => {
      const [kind = "", name = ""] = key.slice(KEY.deployedPrefix.length).split("/");
      return { key, kind: kind as DocumentKind, name };
    })
    .filter(({ kind, name }) => !kept.some((one) => one.kind === kind && one.name === name))
    // Rights go first.
    .sort((a, b) => ORDER.indexOf(b.kind) - ORDER.indexOf(a.kind));
  for (const { key, kind, name } of gone) {
    await api.remove(kind, name);
    await store.call("kv/deleterange", { key: base64(key) });
  }
  return gone.map(({ kind, name }) => `${kind} ${name}`);
}

async function deployedOf(store: StoreGateway): Promise<ReadonlyMap<string, Deployed>> {
  const prefix = KEY.deployedPrefix;
  const { kvs = [] } = await store.call<{
    readonly kvs?: readonly { readonly key: string; readonly value: string }[];
  }>("kv/range", { key: base64(prefix), range_end: base64(prefixEnd(prefix)) });
  return new Map(kvs.map(({ key, value }) => [fromBase64(key), JSON.parse(fromBase64(value)) as Deployed]));
}

const note = async (store: StoreGateway, key: string, value: Deployed): Promise<void> => {
  await store.call("kv/put", { key: base64(key), value: base64(JSON.stringify(value)) });
};

/** All conflicts in one error: a person mends them together. */
function refusalOf(problems: readonly Problem[]): CodedError {
  const [first] = problems;
  const others = problems.slice(1).map(({ code, path, message }) => `${path}  ${code}  ${message}`);
  return new CodedError({
    code: first?.code ?? "DOC-CONFLICT",
    path: first?.path ?? "",
    message: [first?.message ?? "", ...others].join("; also "),
    remedy: first?.remedy ?? "",
  });
}

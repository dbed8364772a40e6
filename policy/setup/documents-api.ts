import type { DocumentKind } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { base64, type StoreGateway, StoreRefusal } from "./store-gateway.js";

/** Where each kind of document is in the orchestrator's API. */
export const DOCUMENT_PATHS: Readonly<Record<DocumentKind, string>> = {
  agreement: "policyEnforcer/agreements",
  archetype: "archetypes",
  requestType: "requestTypes",
  microservice: "microservices",
  dataset: "datasets",
};

/** A document as the store has it. */
export interface LiveDocument {
  readonly document: unknown;
  /** etcd's revision of its last change. */
  readonly revision: number;
}

const KEYS: Readonly<Record<DocumentKind, (name: string) => string>> = {
  agreement: KEY.agreement,
  archetype: KEY.archetype,
  requestType: KEY.requestType,
  microservice: KEY.microservice,
  dataset: KEY.dataset,
};

const callSeconds = 5;

/** The orchestrator's API for documents. Throws CodedError: ORC-UNREACHABLE when it does not answer, else the code it answered. */
export class DocumentsApi {
  readonly #base: string;
  readonly #token: string;
  readonly #store: StoreGateway | undefined;

  /** @param store etcd as its reader sees it, for {@link remembers} */
  constructor(options: {
    readonly url: string;
    readonly token: string;
    readonly store?: StoreGateway | undefined;
  }) {
    this.#base = `${options.url}/api/v1`;
    this.#token = options.token;
    this.#store = options.store;
  }

  /** The document, or undefined where there is none. */
  async get(kind: DocumentKind, name: string): Promise<LiveDocument | undefined> {
    const { status, body } = await this.#call("GET", kind, name);
    if (status === 404) return undefined;
    const { document, revision } = body as { readonly document?: unknown; readonly revision?: unknown };
    if (document === undefined || typeof revision !== "number")
      throw unexpected(kind, name, "no document and revision in its answer");
    return { document, revision };
  }

  /** An agreement's versions, oldest first, by etcd's history. `document` is null where it was taken away. */
  async agreementHistory(
    name: string,
  ): Promise<readonly { readonly revision: number; readonly document: unknown }[]> {
    const { body } = await this.#call("GET", "agreement", name, undefined, "/history");
    const { versions } = body as {
      readonly versions?: readonly { readonly revision: number; readonly document: unknown }[];
    };
    if (!Array.isArray(versions)) throw unexpected("agreement", name, "no versions in its answer");
    return versions;
  }

  /** All documents of a kind. */
  async list(kind: DocumentKind): Promise<readonly (LiveDocument & { readonly name: string })[]> {
    const { body } = await this.#call("GET", kind);
    const { documents } = body as {
      readonly documents?: readonly (LiveDocument & { readonly name: string })[];
    };
    if (!Array.isArray(documents)) throw unexpected(kind, "*", "no list of documents in its answer");
    return documents;
  }

  /** Puts the document where the live revision is still this one (0: where there is none). Returns its new revision. */
  async put(kind: DocumentKind, name: string, document: unknown, ifRevision: number): Promise<number> {
    const { body } = await this.#call("PUT", kind, name, { document, ifRevision });
    const { revision } = body as { readonly revision?: unknown };
    if (typeof revision !== "number") throw unexpected(kind, name, "no revision in its answer");
    return revision;
  }

  /** Takes the document away. Fine when it is gone. */
  async remove(kind: DocumentKind, name: string): Promise<void> {
    await this.#call("DELETE", kind, name);
  }

  /** Whether the store's history has this document at this revision, which a store made anew has not. */
  async remembers(kind: DocumentKind, name: string, revision: number): Promise<boolean> {
    if (this.#store === undefined) return true;
    try {
      const { kvs } = await this.#store.call<{
        readonly kvs?: readonly { readonly mod_revision?: string }[];
      }>("kv/range", { key: base64(KEYS[kind](name)), revision: String(revision) });
      return kvs?.[0]?.mod_revision === String(revision);
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      // A store that never came to this revision refuses too. Compacted history is older than all that is kept, so the store has been going on since.
      return /compacted/.test(error.words);
    }
  }

  async #call(
    method: "GET" | "PUT" | "DELETE",
    kind: DocumentKind,
    name?: string,
    put?: { readonly document: unknown; readonly ifRevision: number },
    below = "",
  ): Promise<{ readonly status: number; readonly body: unknown }> {
    const response = await request(
      `${this.#base}/${DOCUMENT_PATHS[kind]}${name === undefined ? "" : `/${encodeURIComponent(name)}${below}`}`,
      {
        method,
        headers: {
          authorization: `Bearer ${this.#token}`,
          ...(put === undefined
            ? {}
            : { "content-type": "application/json", "if-match": String(put.ifRevision) }),
        },
        ...(put === undefined ? {} : { body: JSON.stringify(put.document) }),
      },
    );
    const text = await response.text();
    const body = parsed(text);
    if (response.ok || (response.status === 404 && method !== "PUT"))
      return { status: response.status, body };
    const { code, message, remedy } = (body ?? {}) as {
      readonly code?: string;
      readonly message?: string;
      readonly remedy?: string;
    };
    throw new CodedError({
      code: code ?? "ORC-UNEXPECTED",
      path: name === undefined ? kind : `${kind} ${name}`,
      message: message ?? `the orchestrator answered ${method} with ${response.status}`,
      remedy: remedy ?? "see the orchestrator's log",
    });
  }
}

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(callSeconds * 1000) });
  } catch (error) {
    const cause =
      error instanceof Error ? (error.cause as { readonly code?: string } | undefined)?.code : undefined;
    const reason = cause ?? (error instanceof Error ? error.message : String(error));
    throw new CodedError(
      {
        code: "ORC-UNREACHABLE",
        message: `no answer from ${new URL(url).host}: ${reason}`,
        remedy: "see `dynamos-fabric status`; `up` starts what is down",
      },
      { cause: error },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // an answer that is not ours; the status says enough
  }
}

function unexpected(kind: DocumentKind, name: string, what: string): CodedError {
  return new CodedError({
    code: "ORC-UNEXPECTED",
    path: `${kind} ${name}`,
    message: `the orchestrator's answer is not understood: ${what}`,
    remedy: "are its version and this command's the same?",
  });
}

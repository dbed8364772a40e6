import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Agreement, Archetype, DocumentKind, Microservice, RequestType } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { agreementProblems, documentPath, validateDocument, workflowProblems } from "../contract/schemas.js";
import type { Store } from "../platform/store.js";
import { revisionMissing } from "./access.js";
import { mergePatch } from "./merge-patch.js";

interface Collection {
  readonly kind: DocumentKind;
  readonly prefix: string;
  readonly key: (name: string) => string;
}

/** Collections by their path below `/api/v1/`. */
const COLLECTIONS: Readonly<Record<string, Collection>> = {
  archetypes: { kind: "archetype", prefix: KEY.archetypePrefix, key: KEY.archetype },
  requestTypes: { kind: "requestType", prefix: KEY.requestTypePrefix, key: KEY.requestType },
  microservices: { kind: "microservice", prefix: KEY.microservicePrefix, key: KEY.microservice },
  datasets: { kind: "dataset", prefix: KEY.datasetPrefix, key: KEY.dataset },
  "policyEnforcer/agreements": { kind: "agreement", prefix: KEY.agreementPrefix, key: KEY.agreement },
};

/** A person waits at the other end: a store that is away is told at once. */
const AT_ONCE = { patience: 0 } as const;
/** As documents' names are (contract/json-schemas.ts): nothing that could reach another key. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

type Named = { Params: { name: string } };

/** A document that cannot be written, with all that is wrong with it. */
export class InvalidDocumentError extends CodedError {
  readonly problems: readonly Problem[];

  constructor(kind: DocumentKind, name: string, problems: readonly Problem[]) {
    const [first] = problems;
    super({
      code: first?.code ?? "DOC-SCHEMA",
      path: first?.path ?? "",
      message: `${kind} ${name}: ${problems.map((p) => `${p.path || "(document)"} ${p.message}`).join("; ")}`,
      remedy: first?.remedy ?? "correct the document",
    });
    this.problems = problems;
  }
}

/**
 * Routes to read and write the store's documents. A document's revision is its `ETag`; with `If-Match` (or `If-None-Match: *`) a write happens
 * only on that revision. `PATCH` (a JSON merge patch) needs it, and so does a `PUT` that replaces an agreement. A write is answered once the store has it, with its revision: from then on no round opens on what was there before.
 */
export function documentRoutes(app: FastifyInstance, store: Store): void {
  // RFC 7396. A forged prototype is refused as in any other body.
  app.addContentTypeParser(
    "application/merge-patch+json",
    { parseAs: "string" },
    app.getDefaultJsonParser("error", "error"),
  );
  for (const [path, collection] of Object.entries(COLLECTIONS)) routesOf(app, store, path, collection);
}

function routesOf(app: FastifyInstance, store: Store, path: string, { kind, prefix, key }: Collection): void {
  const base = `/api/v1/${path}`;

  app.get(base, async () => {
    const { entries, revision } = await store.list<{ readonly name?: string }>(prefix, AT_ONCE);
    // A key without a document's name is another thing's, e.g. below a microservice's.
    const documents = entries.filter((e) => typeof e.value?.name === "string" && e.key === key(e.value.name));
    return {
      revision,
      documents: documents.map((e) => ({ name: e.value.name, revision: e.revision, document: e.value })),
    };
  });

  app.get<Named>(`${base}/:name`, async (request, reply) => {
    const name = checkedName(request.params.name, kind);
    const entry = await store.get<unknown>(key(name), AT_ONCE);
    if (entry === undefined) throw notFound(kind, name);
    return reply
      .header("etag", etag(entry.revision))
      .send({ revision: entry.revision, document: entry.value });
  });

  const refuseWrong = async (name: string, document: unknown): Promise<void> => {
    const problems = await problemsOf(kind, name, document, store);
    if (problems.length > 0) throw new InvalidDocumentError(kind, name, problems);
  };

  app.put<Named>(`${base}/:name`, async (request, reply) => {
    const { name } = request.params;
    await refuseWrong(name, request.body);
    const bound = await condition(request, store, key(name));
    const revision = await writeBound(kind, key(name), request.body, bound, store);
    return reply.header("etag", etag(revision)).send({ revision, document: request.body });
  });

  app.patch<Named>(`${base}/:name`, async (request, reply) => {
    const name = checkedName(request.params.name, kind);
    const { ifRevision } = await condition(request, store, key(name));
    if (ifRevision === undefined) throw revisionMissing();
    const entry = await store.get<unknown>(key(name), AT_ONCE);
    if (entry === undefined) throw notFound(kind, name);
    // The store compares again at the write. Here: what is patched must be what the caller has read.
    if (entry.revision !== ifRevision)
      throw conflict(
        key(name),
        `has revision ${entry.revision}`,
        "read it again, then write with the new revision",
      );
    const document = mergePatch(entry.value, request.body);
    await refuseWrong(name, document);
    const revision = await store.put(key(name), document, { ...AT_ONCE, ifRevision });
    return reply.header("etag", etag(revision)).send({ revision, document });
  });

  app.delete<Named>(`${base}/:name`, async (request) => {
    const name = checkedName(request.params.name, kind);
    if ((await store.get(key(name), AT_ONCE)) === undefined) throw notFound(kind, name);
    return {
      revision: await store.delete(key(name), {
        ...AT_ONCE,
        ...(await condition(request, store, key(name))),
      }),
    };
  });
}

/**
 * What is wrong with a document by itself, and of an agreement or a workflow, among the documents that the store holds. An agreement's parties' names are not checked here: the
 * store does not say who the parties are, and one whose agent is away must still be able to narrow its agreement.
 */
async function problemsOf(
  kind: DocumentKind,
  name: string,
  value: unknown,
  store: Store,
): Promise<readonly Problem[]> {
  const problems = validateDocument(kind, name, value);
  if (problems.length > 0) return problems;
  if (kind === "requestType") return await workflowProblemsOf(value as RequestType, store);
  if (kind !== "agreement") return problems;
  const [archetypes, requestTypes, dataSets] = await Promise.all([
    namesBelow(store, KEY.archetypePrefix),
    namesBelow(store, KEY.requestTypePrefix),
    namesBelow(store, KEY.datasetPrefix),
  ]);
  return agreementProblems(value as Agreement, { archetypes, requestTypes, dataSets });
}

/** What has no workflow is a chain of its services, which may come later. */
async function workflowProblemsOf(type: RequestType, store: Store): Promise<readonly Problem[]> {
  if (type.workflow === undefined) return [];
  const [services, archetypes] = await Promise.all([
    store.list<Microservice>(KEY.microservicePrefix, AT_ONCE),
    store.list<Archetype>(KEY.archetypePrefix, AT_ONCE),
  ]);
  const known = new Map(
    services.entries.flatMap(({ key, value }) =>
      key === KEY.microservice(value.name) ? [[value.name, value] as const] : [],
    ),
  );
  const defined = archetypes.entries.map(({ value }) => value);
  return workflowProblems(type, new Set(known.keys()), known, defined).map(({ path, ...problem }) => ({
    ...problem,
    path: documentPath(path),
  }));
}

async function namesBelow(store: Store, prefix: string): Promise<ReadonlySet<string>> {
  const { entries } = await store.list<unknown>(prefix, AT_ONCE);
  return new Set(entries.map(({ key }) => key.slice(prefix.length)));
}

/** An agreement is a right: nobody overwrites one that he has not seen, or what was just narrowed would be given again. */
async function writeBound(
  kind: DocumentKind,
  key: string,
  value: unknown,
  bound: { readonly ifRevision?: number },
  store: Store,
): Promise<number> {
  const unbound = kind === "agreement" && bound.ifRevision === undefined;
  try {
    return await store.put(key, value, { ...AT_ONCE, ...(unbound ? { ifRevision: 0 } : bound) });
  } catch (error) {
    if (!unbound || !(error instanceof CodedError) || error.code !== "STO-CONFLICT") throw error;
    throw revisionMissing();
  }
}

/** The revision a write is bound to. `If-Match: *` binds it to whatever is there now. */
async function condition(
  request: FastifyRequest,
  store: Store,
  key: string,
): Promise<{ readonly ifRevision?: number }> {
  const { "if-match": match, "if-none-match": noneMatch } = request.headers;
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === "*") return { ifRevision: 0 };
    throw badCondition("If-None-Match", noneMatch, "only * is meaningful here");
  }
  if (match === undefined) return {};
  if (match.trim() === "*") {
    const entry = await store.get(key, AT_ONCE);
    if (entry !== undefined) return { ifRevision: entry.revision };
    throw conflict(key, "is not there", "write it without If-Match: *");
  }
  const revision = /^(?:W\/)?"?(\d{1,15})"?$/.exec(match.trim())?.[1];
  if (revision === undefined)
    throw badCondition("If-Match", match, 'give the document\'s revision, e.g. "214"');
  return { ifRevision: Number(revision) };
}

const etag = (revision: number): string => `"${revision}"`;

function checkedName(name: string, kind: DocumentKind): string {
  if (NAME.test(name)) return name;
  throw notFound(kind, name);
}

function notFound(kind: DocumentKind, name: string): CodedError {
  return new CodedError({
    code: "ORC-DOCUMENT-NOT-FOUND",
    path: name,
    message: `there is no ${kind} ${name}`,
    remedy: "list the collection to see what there is",
  });
}

function conflict(key: string, what: string, remedy: string): CodedError {
  return new CodedError({ code: "STO-CONFLICT", path: key, message: `${key} ${what}`, remedy });
}

function badCondition(header: string, value: string, remedy: string): CodedError {
  return new CodedError({ code: "ORC-CONDITION", path: header, message: `${value} is no revision`, remedy });
}

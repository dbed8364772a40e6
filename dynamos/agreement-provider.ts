/** The code behind Agreement and Document; run in the engine's provider process (see infra/dynamic.ts). */
import type { dynamic } from "@pulumi/pulumi";
import { contentHash } from "../infra/content-hash.js";
import { endWithParent, hasUnknown, plainErrors, stripUndefined } from "../infra/dynamic.js";
import { stateFolder } from "../infra/local/package-folder.js";
import { InfraError } from "../infra/problem.js";
import type { DocumentKind } from "../policy/contract/documents.js";
import { CodedError } from "../policy/contract/problem.js";
import { type DriftVerdict, driftOf, type Version } from "../policy/setup/document-drift.js";
import type { DocumentsApi } from "../policy/setup/documents-api.js";
import { documentsApi } from "./documents-api.js";

endWithParent();

interface DocumentProps {
  readonly state: string;
  readonly kind: DocumentKind;
  readonly name: string;
  readonly document: unknown;
  readonly replaces?: number;
  readonly __provider?: string;
}

interface DocumentOutputs extends DocumentProps {
  readonly revision: number;
  readonly sha256: string;
}

export const provider = plainErrors<dynamic.ResourceProvider<DocumentProps, DocumentOutputs>>({
  async check(_olds, news) {
    return { inputs: news, failures: [] };
  },

  async diff(_id, olds, news) {
    if (hasUnknown(news) || olds.kind !== news.kind || olds.name !== news.name || olds.state !== news.state) {
      return {
        changes: true,
        replaces: olds.kind !== news.kind || olds.name !== news.name ? ["name"] : [],
      };
    }
    return { changes: await hasChanges(olds, news) };
  },

  async create(props) {
    return { id: `${props.kind}/${props.name}`, outs: await bring(needed(props), undefined, props) };
  },

  async update(_id, olds, news) {
    return { outs: await bring(needed(news), olds, news) };
  },

  /** A document that the API changed or took away is still the stack's: what the stack wrote stays on record, so that drift can be told. */
  async read(id, props) {
    if (props === undefined)
      throw new InfraError({
        code: "DOC-IMPORT",
        path: id,
        message: "cannot be imported",
        remedy: "write its file; `up` adopts a live document that is the same",
      });
    return { id, props };
  },

  async delete(_id, props) {
    await needed(props).remove(props.kind, props.name);
  },
});

async function hasChanges(olds: DocumentOutputs, news: DocumentProps): Promise<boolean> {
  const api = documentsApi(stateFolder(news));
  // Not running, so nobody can be asked: the file alone counts now, and `update` decides again with the live document at hand.
  if (api === undefined) return contentHash(news.document) !== olds.sha256;
  let verdict: DriftVerdict;
  try {
    verdict = await verdictOf(api, olds, news);
  } catch (error) {
    if (error instanceof CodedError && error.code === "ORC-UNREACHABLE")
      return contentHash(news.document) !== olds.sha256;
    throw error;
  }
  if (verdict.kind === "conflict") throw new InfraError(verdict.problem);
  if (verdict.kind === "same") return verdict.live.sha256 !== olds.sha256;
  return verdict.kind === "write";
}

async function verdictOf(
  api: DocumentsApi,
  last: Version | undefined,
  { kind, name, document, replaces }: DocumentProps,
): Promise<DriftVerdict> {
  const found = await api.get(kind, name);
  const live =
    found === undefined ? undefined : { sha256: contentHash(found.document), revision: found.revision };
  // Only what is gone needs the question whether it was ever there.
  const remembered =
    last === undefined || live !== undefined || (await api.remembers(kind, name, last.revision));
  return driftOf({
    kind,
    name,
    file: { sha256: contentHash(document), revision: replaces },
    last,
    live,
    remembered,
  });
}

/** Makes the live document the file's where that is allowed. */
async function bring(
  api: DocumentsApi,
  last: Version | undefined,
  props: DocumentProps,
): Promise<DocumentOutputs> {
  const verdict = await verdictOf(api, last, props);
  switch (verdict.kind) {
    case "conflict":
      throw new InfraError(verdict.problem);
    case "same":
      return outputs(props, verdict.live);
    case "drift":
      return outputs(props, last ?? { sha256: contentHash(props.document), revision: 0 });
    case "write": {
      const revision = await api.put(props.kind, props.name, props.document, verdict.ifRevision);
      return outputs(props, { sha256: contentHash(props.document), revision });
    }
  }
}

function outputs(props: DocumentProps, { sha256, revision }: Version): DocumentOutputs {
  const { state, kind, name, document, replaces } = props;
  return stripUndefined({
    state,
    kind,
    name,
    document,
    ...(replaces === undefined ? {} : { replaces }),
    revision,
    sha256,
  });
}

function needed(props: DocumentProps): DocumentsApi {
  const api = documentsApi(stateFolder(props));
  if (api !== undefined) return api;
  throw new InfraError({
    code: "ORC-UNREACHABLE",
    path: `${props.kind} ${props.name}`,
    message: "the orchestrator is not running, so its documents cannot be changed",
    remedy: "run `up`, which starts it; see `dynamos-fabric status`",
  });
}

import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { contentHash } from "../infra/content-hash.js";
import { findProject } from "../infra/local/package-folder.js";
import { problemLine } from "../infra/problem.js";
import type { Agreement as AgreementDocument, DocumentOf } from "../policy/contract/documents.js";
import { driftOf } from "../policy/setup/document-drift.js";
import { Agreement } from "./agreement.js";
import { Document, type PlainDocumentKind } from "./document.js";
import { documentsApi } from "./documents-api.js";
import type { ExperimentDocument } from "./experiment.js";

/** What {@link MarketplaceDocuments} is made of. */
export interface MarketplaceDocumentsArgs {
  /** The stack's state folder, relative to Pulumi.yaml. */
  readonly state: string;
  readonly documents: readonly ExperimentDocument[];
  /** The processes of store and orchestrator. */
  readonly store: pulumi.Resource;
  readonly orchestrator: pulumi.Resource;
}

/**
 * An experiment's documents in the running marketplace: a resource each. Request types come after what their workflows name, which the orchestrator
 * checks, and agreements last, so that a right appears after all it names.
 */
export class MarketplaceDocuments {
  constructor(name: string, args: MarketplaceDocumentsArgs, options: { readonly parent: pulumi.Resource }) {
    const { state, documents, store, orchestrator } = args;
    // A store that is deleted takes its documents with it: a dead stack can be taken down.
    const common = { ...options, deletedWith: store };
    const make = (
      which: (kind: ExperimentDocument["kind"]) => boolean,
      after: readonly pulumi.Resource[],
    ): readonly Document[] =>
      documents
        .filter((d) => which(d.kind))
        .map((d) => {
          const kind = d.kind as PlainDocumentKind;
          const document = d.value as unknown as DocumentOf[PlainDocumentKind];
          const resource = new Document(
            `${name}-${d.kind}-${d.name}`,
            { state, kind, name: d.name, document, revision: d.revision },
            { ...common, dependsOn: [orchestrator, ...after] },
          );
          tellDrift(state, d, resource);
          return resource;
        });
    const named = make((kind) => kind !== "agreement" && kind !== "requestType", []);
    const plain = [...named, ...make((kind) => kind === "requestType", named)];
    for (const d of documents.filter(({ kind }) => kind === "agreement")) {
      const document = d.value as unknown as AgreementDocument;
      const resource = new Agreement(
        `${name}-${d.name}`,
        { state, party: d.name, document, revision: d.revision },
        { ...common, dependsOn: [orchestrator, ...plain] },
      );
      tellDrift(state, d, resource);
    }
  }
}

/**
 * Says at a preview what an `up` would leave as the orchestrator's API made it. A provider cannot speak to a resource's line, and what it decided
 * (no change) is not told to the program: so the program looks for itself, with the same pure function.
 */
function tellDrift(state: string, file: ExperimentDocument, resource: Agreement | Document): void {
  if (!pulumi.runtime.isDryRun()) return;
  pulumi.all([resource.sha256, resource.revision]).apply(async ([sha256, revision]) => {
    const api = documentsApi(join(findProject(), state));
    if (api === undefined || typeof sha256 !== "string") return;
    try {
      const found = await api.get(file.kind, file.name);
      const verdict = driftOf({
        kind: file.kind,
        name: file.name,
        file: { sha256: contentHash(file.value), revision: file.revision },
        last: { sha256, revision },
        live: found && { sha256: contentHash(found.document), revision: found.revision },
        remembered: found !== undefined || (await api.remembers(file.kind, file.name, revision)),
      });
      if (verdict.kind === "drift") {
        const { path: _named, ...problem } = verdict.problem; // the file says which
        await pulumi.log.warn(problemLine({ ...problem, file: file.file }), resource);
      }
    } catch (error) {
      await pulumi.log.warn(
        `${file.file}: not compared with the running marketplace: ${error instanceof Error ? error.message : String(error)}`,
        resource,
      );
    }
  });
}

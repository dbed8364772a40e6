import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../infra/dynamic.js";
import type { DocumentKind, DocumentOf } from "../policy/contract/documents.js";

/** A document of any kind but an agreement. */
export type PlainDocumentKind = Exclude<DocumentKind, "agreement">;

/** What a {@link Document} is made of. */
export interface DocumentArgs {
  /** The stack's state folder, relative to the folder of Pulumi.yaml. */
  readonly state: pulumi.Input<string>;
  readonly kind: pulumi.Input<PlainDocumentKind>;
  readonly name: pulumi.Input<string>;
  readonly document: pulumi.Input<DocumentOf[PlainDocumentKind]>;
  /** The live revision that this document may replace, as with an agreement. */
  readonly revision?: pulumi.Input<number | undefined>;
}

/** The type token; for ever (DESIGN 17). */
export const documentType = "pulumi-nodejs:dynamic/dynamos:Document";

/** An archetype, request type, microservice or data set in the running marketplace. Two writers, as with an Agreement. */
export class Document extends pulumi.CustomResource {
  /** etcd's revision at which the stack wrote (or first found) this content. */
  declare readonly revision: pulumi.Output<number>;
  /** Of the content that the stack wrote (or found). */
  declare readonly sha256: pulumi.Output<string>;

  constructor(name: string, args: DocumentArgs, options?: pulumi.CustomResourceOptions) {
    const props = {
      state: args.state,
      kind: args.kind,
      name: args.name,
      document: args.document,
      replaces: args.revision,
      revision: undefined,
      sha256: undefined,
      __provider: dynamicProvider("dynamos/agreement-provider"),
    };
    super(documentType, name, props, options);
  }
}

import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../infra/dynamic.js";
import type { Agreement as AgreementDocument } from "../policy/contract/documents.js";

/** What an {@link Agreement} is made of. */
export interface AgreementArgs {
  /** The stack's state folder, relative to the folder of Pulumi.yaml. */
  readonly state: pulumi.Input<string>;
  /** The data steward: the agreement's name. */
  readonly party: pulumi.Input<string>;
  readonly document: pulumi.Input<pulumi.Unwrap<AgreementDocument>>;
  /** The live revision that this document may replace, whatever it is; see the class. */
  readonly revision?: pulumi.Input<number | undefined>;
}

/** The type token; for ever (DESIGN 17). */
export const agreementType = "pulumi-nodejs:dynamic/dynamos:Agreement";

/**
 * A data steward's agreement in the running marketplace.
 *
 * It has two writers, the stack and the orchestrator's API. An `up` writes it when the file has changed and the live agreement is still what the
 * stack wrote last. What was changed through the API stays: with an unchanged file the preview says so, with a changed one it fails
 * with POL-AGREEMENT-CONFLICT, unless the file names the live revision.
 */
export class Agreement extends pulumi.CustomResource {
  /** etcd's revision at which the stack wrote (or first found) this content. */
  declare readonly revision: pulumi.Output<number>;
  /** Of the content that the stack wrote (or found). */
  declare readonly sha256: pulumi.Output<string>;

  constructor(name: string, args: AgreementArgs, options?: pulumi.CustomResourceOptions) {
    const props = {
      state: args.state,
      kind: "agreement",
      name: args.party,
      document: args.document,
      replaces: args.revision,
      revision: undefined,
      sha256: undefined,
      __provider: dynamicProvider("dynamos/agreement-provider"),
    };
    super(agreementType, name, props, options);
  }
}

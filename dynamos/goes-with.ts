import * as pulumi from "@pulumi/pulumi";

/**
 * What another resource holds goes when that goes, and is not taken away one by one: what the emulator knows, what runs on a cluster. So a stack that is
 * dead can be taken down.
 */
export function goesWith(holder: pulumi.Resource): pulumi.ResourceTransformation {
  return ({ resource, props, opts }) =>
    resource instanceof pulumi.CustomResource
      ? { props, opts: pulumi.mergeOptions(opts, { deletedWith: holder }) }
      : undefined;
}

import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../../infra/dynamic.js";

/** The type token; for ever (DESIGN 17). */
export const passwordType = "pulumi-nodejs:dynamic/dynamos:Password";

/** A generated password: 32 random bytes in base64url, made once and kept in the stack's state, encrypted. */
export class Password extends pulumi.CustomResource {
  declare readonly value: pulumi.Output<string>;

  constructor(name: string, options?: pulumi.CustomResourceOptions) {
    const props = { value: undefined, __provider: dynamicProvider("dynamos/kubernetes/password-provider") };
    super(passwordType, name, props, pulumi.mergeOptions(options, { additionalSecretOutputs: ["value"] }));
  }
}

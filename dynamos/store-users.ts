import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../infra/dynamic.js";
import type { StoreRights } from "../policy/setup/store-user.js";

/** What {@link StoreUsers} is made of. */
export interface StoreUsersArgs {
  /** The stack's state folder, relative to the folder of Pulumi.yaml. */
  readonly state: pulumi.Input<string>;
  readonly rights: pulumi.Input<pulumi.Unwrap<readonly StoreRights[]>>;
}

/** The type token; for ever (DESIGN 17). */
export const storeUsersType = "pulumi-nodejs:dynamic/dynamos:StoreUsers";

/**
 * Users at the store (etcd), each with a role of its own and a password from the stack's secrets; of an agent also its public key. The first makes the store ask everybody who they
 * are.
 *
 * A resource of its own for each agent, so that one comes and goes while the store runs and its specification stays the same.
 */
export class StoreUsers extends pulumi.CustomResource {
  constructor(name: string, args: StoreUsersArgs, options?: pulumi.CustomResourceOptions) {
    const props = {
      state: args.state,
      rights: args.rights,
      __provider: dynamicProvider("dynamos/store-users-provider"),
    };
    super(storeUsersType, name, props, options);
  }
}

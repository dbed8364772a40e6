import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../infra/dynamic.js";
import type { BrokerRights } from "./broker-definitions.js";

/** What a {@link BrokerUser} is made of. */
export interface BrokerUserArgs {
  /** The stack's state folder, relative to the folder of Pulumi.yaml. */
  readonly state: pulumi.Input<string>;
  readonly rights: pulumi.Input<pulumi.Unwrap<BrokerRights>>;
}

/** The type token; for ever (DESIGN 17). */
export const brokerUserType = "pulumi-nodejs:dynamic/dynamos:BrokerUser";

/**
 * An agent's user at the broker: password (from the stack's secrets), rights, and queue.
 *
 * A resource of its own, so that an agent comes and goes while the broker runs and its specification stays the same.
 */
export class BrokerUser extends pulumi.CustomResource {
  /** The user's name. */
  declare readonly user: pulumi.Output<string>;

  constructor(name: string, args: BrokerUserArgs, options?: pulumi.CustomResourceOptions) {
    const props = {
      state: args.state,
      rights: args.rights,
      user: undefined,
      __provider: dynamicProvider("dynamos/broker-user-provider"),
    };
    super(brokerUserType, name, props, options);
  }
}

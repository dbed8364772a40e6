import * as pulumi from "@pulumi/pulumi";
import type { AgentPlace } from "../placement.js";
import { agentObjects } from "./agent-plan.js";
import type { PartArgs } from "./parts.js";
import { partyPlace } from "./plan.js";
import { registerObjects } from "./resources.js";

/** What an {@link Agent} is made of. */
export interface AgentArgs extends PartArgs {
  /** As agreements name it. It must be among the broker's parties. */
  readonly party: string;
}

/** What agents of both roles have in common. */
abstract class Party extends pulumi.ComponentResource {
  readonly party: string;
  readonly node: string;
  readonly namespace: string;

  constructor(
    role: AgentPlace["role"],
    type: string,
    name: string,
    args: AgentArgs,
    options?: pulumi.ComponentResourceOptions,
  ) {
    super(`dynamos-fabric:dynamos:${type}`, name, {}, options);
    const { party, node, secrets, after = [] } = args;
    const place = partyPlace(party, node, args.options);
    this.party = party;
    this.node = node;
    this.namespace = place.namespace;
    registerObjects(name, agentObjects({ party, node, role }, place), secrets, {
      parent: this,
      dependsOn: [...after],
    });
    this.registerOutputs({ party, node, namespace: this.namespace });
  }
}

/** A party with data: its namespace, its agent on its node, and the right to run jobs there and nowhere else. */
export class Agent extends Party {
  constructor(name: string, args: AgentArgs, options?: pulumi.ComponentResourceOptions) {
    super("agent", "Agent", name, args, options);
  }
}

/** A party that only computes. */
export class TrustedThirdParty extends Party {
  constructor(name: string, args: AgentArgs, options?: pulumi.ComponentResourceOptions) {
    super("thirdParty", "TrustedThirdParty", name, args, options);
  }
}

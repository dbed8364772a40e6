import * as pulumi from "@pulumi/pulumi";
import { LocalProcess } from "../infra/local/index.js";
import { partyRights } from "./broker-definitions.js";
import { BrokerUser } from "./broker-user.js";
import { type AgentPlace, agentService } from "./placement.js";
import { agentServiceSpec } from "./services.js";
import { storeRightsOf } from "./store-rights.js";
import { StoreUsers } from "./store-users.js";

/** What an {@link Agent} is made of. Plain values: they decide what the agent's process is. */
export interface AgentArgs extends AgentPlace {
  /** The experiment's folder, relative to Pulumi.yaml. */
  readonly experiment: string;
  /** The stack's state folder, relative to Pulumi.yaml. */
  readonly state: string;
  /** The broker's process, which the agent's user is made at. */
  readonly broker: pulumi.Resource;
  /** The store's process, which the agent's user there goes with. */
  readonly store: pulumi.Resource;
  /** The core services' users at the store: from then on it asks everybody who they are. */
  readonly storeUsers: pulumi.Resource;
  /** What must be there before the agent starts: its node. */
  readonly after?: readonly pulumi.Resource[];
}

/** A party in the marketplace: its agent's process on its node, and its users at broker and store. */
export class Agent extends pulumi.ComponentResource {
  readonly party: string;
  readonly node: string;
  readonly process: LocalProcess;

  constructor(name: string, args: AgentArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Agent", name, {}, options);
    const { party, node, state, broker, store, storeUsers, after = [] } = args;
    this.party = party;
    this.node = node;
    const service = agentService(party);
    // A broker that is deleted takes its users with it: a dead stack can be taken down.
    const users = partyRights(service, party).map(
      (rights, i) =>
        new BrokerUser(
          i === 0 ? name : `${name}-jobs`,
          { state, rights },
          { parent: this, dependsOn: broker, deletedWith: broker },
        ),
    );
    const spec = agentServiceSpec(args, args.experiment);
    const rights = [storeRightsOf(spec) ?? []].flat();
    const storeUser = new StoreUsers(
      name,
      { state, rights },
      { parent: this, dependsOn: storeUsers, deletedWith: store },
    );
    this.process = new LocalProcess(
      name,
      { state, spec },
      { parent: this, dependsOn: [...users, storeUser, store, ...after] },
    );
    this.registerOutputs({ party, node });
  }
}

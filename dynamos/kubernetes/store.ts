import * as pulumi from "@pulumi/pulumi";
import { STORE } from "../services.js";
import type { BrokerArgs } from "./broker.js";
import { hostOf } from "./place.js";
import { corePlace } from "./plan.js";
import { registerObjects } from "./resources.js";
import { storeObjects } from "./store-plan.js";

/** What a {@link Store} is made of. Its parties are those whose agents are its users. */
export type StoreArgs = BrokerArgs;

/**
 * etcd in the core's namespace, which must be there: a StatefulSet with a volume that outlives it, one user and one role a service, agents' public
 * keys. Parties may come and go while it runs.
 */
export class Store extends pulumi.ComponentResource {
  /** Its name inside the cluster. */
  readonly host: string;
  /** What is ready when the store is, its users included. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: StoreArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Store", name, {}, options);
    const place = corePlace(args.node, args.options);
    this.host = hostOf(STORE, place);
    this.ready = registerObjects(name, storeObjects(args.parties, place), args.secrets, {
      parent: this,
      dependsOn: [...(args.after ?? [])],
    });
    this.registerOutputs({ host: this.host });
  }
}

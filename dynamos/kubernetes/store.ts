import * as pulumi from "@pulumi/pulumi";
import { STORE } from "../services.js";
import { storeObjects } from "./broker-plan.js";
import type { PartArgs } from "./parts.js";
import { hostOf } from "./place.js";
import { corePlace } from "./plan.js";
import { registerObjects } from "./resources.js";

/** etcd in the core's namespace, which must be there: a StatefulSet with a volume that outlives it. */
export class Store extends pulumi.ComponentResource {
  /** Its name inside the cluster. */
  readonly host: string;
  /** What is ready when the store is. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: PartArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Store", name, {}, options);
    const place = corePlace(args.node, args.options);
    this.host = hostOf(STORE, place);
    this.ready = registerObjects(name, storeObjects(place), args.secrets, {
      parent: this,
      dependsOn: [...(args.after ?? [])],
    });
    this.registerOutputs({ host: this.host });
  }
}

import * as pulumi from "@pulumi/pulumi";
import { BROKER } from "../services.js";
import { brokerObjects } from "./broker-plan.js";
import type { PartArgs } from "./parts.js";
import { hostOf } from "./place.js";
import { corePlace } from "./plan.js";
import { registerObjects } from "./resources.js";

/** What a {@link Broker} is made of. */
export interface BrokerArgs extends PartArgs {
  /** The parties whose agents are its users. */
  readonly parties: readonly string[];
}

/**
 * RabbitMQ in the core's namespace, which must be there: a StatefulSet with a volume, one user a service with the least rights, passwords only
 * as hashes. Parties may come and go while it runs.
 */
export class Broker extends pulumi.ComponentResource {
  /** Its name inside the cluster. */
  readonly host: string;
  /** What is ready when the broker is, its users included. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: BrokerArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Broker", name, {}, options);
    const place = corePlace(args.node, args.options);
    this.host = hostOf(BROKER, place);
    this.ready = registerObjects(name, brokerObjects(args.parties, place), args.secrets, {
      parent: this,
      dependsOn: [...(args.after ?? [])],
    });
    this.registerOutputs({ host: this.host });
  }
}

import * as pulumi from "@pulumi/pulumi";
import { Broker, type BrokerArgs } from "./broker.js";
import { GATEWAY_NODE_PORT } from "./options.js";
import { coreNamespaceObjects, coreObjects, corePlace } from "./plan.js";
import { registerObjects } from "./resources.js";
import { Store } from "./store.js";

/** What a {@link Core} is made of. */
export interface CoreArgs extends BrokerArgs {
  /** An address of a node of the cluster, for `gatewayUrl`. @default the core's node's name */
  readonly address?: pulumi.Input<string>;
}

/** The core of a marketplace: its namespace, broker, store, orchestrator, policy enforcer and API gateway, all on one node. */
export class Core extends pulumi.ComponentResource {
  readonly namespace: string;
  readonly broker: Broker;
  readonly store: Store;
  /** Where the API gateway is reached from outside. */
  readonly gatewayUrl: pulumi.Output<string>;
  /** What is ready when broker and store are: all that an agent needs. */
  readonly ready: readonly pulumi.Resource[];
  /** What is ready when its services are: all that documents need. */
  readonly services: readonly pulumi.Resource[];

  constructor(name: string, args: CoreArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Core", name, {}, options);
    const { node, secrets, after = [] } = args;
    const place = corePlace(node, args.options);
    this.namespace = place.namespace;
    const namespace = registerObjects(name, coreNamespaceObjects(place, args.options), secrets, {
      parent: this,
      dependsOn: [...after],
    });
    const parts = { ...args, after: [...after, ...namespace] };
    this.broker = new Broker(`${name}-broker`, parts, { parent: this });
    this.store = new Store(`${name}-store`, parts, { parent: this });
    this.ready = [...this.broker.ready, ...this.store.ready];
    this.services = registerObjects(`${name}-core`, coreObjects(place, args.options), secrets, {
      parent: this,
      dependsOn: [...this.ready],
    });
    const { ingressClass, ingressHost, gatewayNodePort = GATEWAY_NODE_PORT } = args.options;
    const address = pulumi
      .output(args.address ?? place.host)
      .apply((text) => (text.includes(":") && !text.startsWith("[") ? `[${text}]` : text));
    this.gatewayUrl =
      ingressClass === undefined
        ? pulumi.interpolate`http://${address}:${gatewayNodePort}`
        : pulumi.interpolate`http://${ingressHost ?? address}`;
    this.registerOutputs({ namespace: this.namespace, gatewayUrl: this.gatewayUrl });
  }
}

import * as pulumi from "@pulumi/pulumi";
import { Agent, type AgentArgs, TrustedThirdParty } from "./agent.js";
import { Core } from "./core.js";
import { Documents } from "./documents.js";
import { checkNamespaces } from "./names.js";
import { DEFAULT_PREFIX, type KubernetesOptions } from "./options.js";
import { generatedSecrets } from "./secrets.js";

/** What a {@link Marketplace} on a cluster is made of. Nodes and parties are plain: they decide which children there are. */
export interface MarketplaceArgs extends KubernetesOptions {
  /** The node of broker, store, orchestrator, policy enforcer and gateway. */
  readonly core: string;
  /** The node of each party with data: `{ server: "amst" }`. */
  readonly agents: Readonly<Record<string, string>>;
  /** Folder of the experiment, relative to Pulumi.yaml: its documents are put into the marketplace. */
  readonly experiment: string;
  /** The node of each party that only computes. @default none */
  readonly thirdParties?: Readonly<Record<string, string>>;
  /** An address of a node of the cluster, for `gatewayUrl`. @default the core's node's name */
  readonly address?: pulumi.Input<string>;
  /** Secrets of one's own by name; the registry's pull secret (a `.dockerconfigjson`) is `registry`. @default generated */
  readonly secrets?: Readonly<Record<string, pulumi.Input<string>>>;
  /** What must be there first: the cluster's nodes, say. @default nothing */
  readonly after?: readonly pulumi.Resource[];
}

/**
 * A data marketplace on a Kubernetes cluster: the one of the provider in the resource options.
 *
 * Throws InfraError K8S-NAMESPACE, and all problems of the experiment's folder.
 */
export class Marketplace extends pulumi.ComponentResource {
  readonly core: Core;
  /** Agents by party, third parties' included. */
  readonly agents: Readonly<Record<string, Agent | TrustedThirdParty>>;
  /** Where the API gateway is reached from outside. */
  readonly gatewayUrl: pulumi.Output<string>;

  constructor(name: string, args: MarketplaceArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Marketplace", name, {}, options);
    const { agents, thirdParties = {}, after = [] } = args;
    const parties = [...Object.keys(agents), ...Object.keys(thirdParties)];
    checkNamespaces(args.namespacePrefix ?? DEFAULT_PREFIX, parties);
    const common = {
      options: args,
      secrets: generatedSecrets(name, { parent: this }, args.secrets),
      after,
    };
    this.core = new Core(
      name,
      {
        ...common,
        node: args.core,
        parties,
        ...(args.address === undefined ? {} : { address: args.address }),
      },
      { parent: this },
    );
    new Documents(
      `${name}-documents`,
      { ...common, node: args.core, experiment: args.experiment, after: this.core.services },
      { parent: this },
    );
    const ready = { ...common, after: [...after, ...this.core.ready] };
    const make = (
      Kind: new (name: string, args: AgentArgs, options: pulumi.ComponentResourceOptions) => Agent,
      places: Readonly<Record<string, string>>,
    ): (readonly [string, Agent])[] =>
      Object.entries(places).map(([party, node]) => [
        party,
        new Kind(`${name}-${party}`, { ...ready, party, node }, { parent: this }),
      ]);
    this.agents = Object.fromEntries([...make(Agent, agents), ...make(TrustedThirdParty, thirdParties)]);
    this.gatewayUrl = this.core.gatewayUrl;
    this.registerOutputs({ gatewayUrl: this.gatewayUrl });
  }
}

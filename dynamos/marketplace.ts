import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { LocalProcess } from "../infra/local/index.js";
import { findProject } from "../infra/local/package-folder.js";
import { InfraError } from "../infra/problem.js";
import { TOKEN_DEFAULTS } from "../policy/contract/users.js";
import { Agent } from "./agent.js";
import { MarketplaceDocuments } from "./documents.js";
import { type Experiment, readExperiment } from "./experiment.js";
import type { AgentPlace, Placement } from "./placement.js";
import { BROKER, coreServices, GATEWAY, ORCHESTRATOR, STORE } from "./services.js";
import { stateFolderOf } from "./stack-folder.js";
import { readerRights, storeRightsOf } from "./store-rights.js";
import { StoreUsers } from "./store-users.js";

/** What a {@link Marketplace} is made of. Nodes, parties and folders are plain: they decide which children there are. */
export interface MarketplaceArgs {
  /** The node of broker, store, orchestrator, policy enforcer and gateway. */
  readonly core: string;
  /** The node of each party with data: `{ server: "amst" }`. */
  readonly agents: Readonly<Record<string, string>>;
  /** The node of each party that only computes. @default none */
  readonly thirdParties?: Readonly<Record<string, string>>;
  /** By party: the folder with its data, absolute. @default the experiment's `data/<party>` */
  readonly data?: Readonly<Record<string, string>>;
  /** Folder of the experiment, relative to Pulumi.yaml. */
  readonly experiment: string;
  readonly ports?: {
    /** The gateway's port on 127.0.0.1. @default any free one, kept over restarts */
    readonly gateway?: number | undefined;
  };
  /** The OpenID Connect issuer whose access tokens are taken. @default a development issuer on this machine, for `dynamos-fabric token` */
  readonly users?: {
    /** Its URL, as tokens have it in `iss`. */
    readonly issuer: string;
    /** What `aud` must contain. @default "dynamos-fabric" */
    readonly audience?: string;
    /** Claim with the user's name as agreements write it. @default "sub" */
    readonly userClaim?: string;
    /** Claim with the roles requester, steward:PARTY, operator. @default "roles" */
    readonly rolesClaim?: string;
    /** Certificates (PEM) by which it is known. @default the public ones */
    readonly ca?: string;
  };
  /** The stack's state folder, relative to Pulumi.yaml. @default `.state/<stack>` */
  readonly state?: string;
  /** By node: what the node's services wait for, e.g. its FABRIC node. @default nothing */
  readonly nodes?: Readonly<Record<string, pulumi.Resource>>;
}

/**
 * A data marketplace on this machine: broker, store, orchestrator, policy enforcer and API gateway on the core node, an agent for each party, and
 * the experiment's documents in the store.
 *
 * Throws InfraError with all problems of the experiment's folder; `check()` finds these and more before a program runs.
 */
export class Marketplace extends pulumi.ComponentResource {
  /** `http://127.0.0.1:PORT` of the API gateway. */
  readonly gatewayUrl: pulumi.Output<string>;
  /** Agents by party. */
  readonly agents: Readonly<Record<string, Agent>>;

  constructor(name: string, args: MarketplaceArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:Marketplace", name, {}, options);
    const state = args.state ?? stateFolderOf(pulumi.getStack());
    const placement = placementFrom(args);
    const experiment = readOrThrow(args.experiment);
    const after = (node: string): pulumi.Resource[] => [args.nodes?.[node] ?? []].flat();

    const { core, storeUsers } = this.#core(name, state, placement, args, after(placement.core));
    const started = (service: string): LocalProcess => {
      const found = core.get(service);
      if (found === undefined) throw new RangeError(`no core service ${service}`);
      return found;
    };
    const [broker, store] = [started(BROKER), started(STORE)];
    this.agents = Object.fromEntries(
      placement.agents.map((place) => [
        place.party,
        new Agent(
          `${name}-${place.party}`,
          {
            ...place,
            experiment: args.experiment,
            state,
            broker,
            store,
            storeUsers,
            after: after(place.node),
          },
          { parent: this },
        ),
      ]),
    );
    new MarketplaceDocuments(
      name,
      { state, documents: experiment.documents, store, orchestrator: started(ORCHESTRATOR) },
      { parent: this },
    );
    this.gatewayUrl = started(GATEWAY).ports.apply((ports) => `http://127.0.0.1:${ports.http}`);
    this.registerOutputs({ gatewayUrl: this.gatewayUrl });
  }

  /** The core's processes by service name, each after those it needs, and the users of the store. */
  #core(
    name: string,
    state: string,
    placement: Placement,
    args: MarketplaceArgs,
    after: readonly pulumi.Resource[],
  ): { readonly core: ReadonlyMap<string, LocalProcess>; readonly storeUsers: pulumi.Resource } {
    const made = new Map<string, LocalProcess>();
    const users = args.users === undefined ? undefined : { ...TOKEN_DEFAULTS, ...args.users };
    const specs = coreServices({ placement, ports: args.ports, users });
    const rights = [...specs.flatMap((spec) => storeRightsOf(spec) ?? []), readerRights()];
    let storeUsers: pulumi.Resource | undefined;
    for (const spec of specs) {
      const needs: pulumi.Resource[] = (spec.needs ?? []).flatMap((need) => made.get(need) ?? []);
      if (storeUsers !== undefined && spec.env?.ETCD_USER !== undefined) needs.push(storeUsers);
      const process = new LocalProcess(
        `${name}-${spec.name}`,
        { state, spec },
        { parent: this, dependsOn: [...after, ...needs] },
      );
      made.set(spec.name, process);
      // Before any service: until it asks who they are, the store takes what anybody writes.
      if (spec.name === STORE)
        storeUsers = new StoreUsers(
          `${name}-${STORE}`,
          { state, rights },
          { parent: this, dependsOn: process, deletedWith: process },
        );
    }
    if (storeUsers === undefined) throw new RangeError("no store among the core services");
    return { core: made, storeUsers };
  }
}

function placementFrom({ core, agents, thirdParties = {}, data = {} }: MarketplaceArgs): Placement {
  const places = (role: AgentPlace["role"], nodes: Readonly<Record<string, string>>): AgentPlace[] =>
    Object.entries(nodes).map(([party, node]) => {
      const folder = data[party];
      return { party, node, role, ...(folder === undefined ? {} : { data: folder }) };
    });
  return {
    core,
    agents: [...places("agent", agents), ...places("thirdParty", thirdParties)].sort((a, b) =>
      a.party < b.party ? -1 : 1,
    ),
  };
}

function readOrThrow(folder: string): Experiment {
  const { experiment, problems } = readExperiment(join(findProject(), folder), folder);
  if (problems.length > 0) throw new InfraError(problems);
  return experiment;
}

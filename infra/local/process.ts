import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../dynamic.js";
import type { ServiceSpec } from "./service.js";

/** What a {@link LocalProcess} is made of. */
export interface LocalProcessArgs {
  /** The stack's state folder, relative to the folder of Pulumi.yaml, e.g. `.state/dev`. */
  readonly state: pulumi.Input<string>;
  /** The service. Holds no absolute path, no chosen port and no secret, so it is the same on every machine. */
  readonly spec: pulumi.Input<pulumi.Unwrap<ServiceSpec>>;
}

/** The type token; for ever (DESIGN 17). */
export const localProcessType = "pulumi-nodejs:dynamic/local:Process";

/**
 * A service that a supervisor keeps running on this machine, independent of the engine.
 *
 * It is created when the service is ready. A preview shows an update when the service is down, its specification has changed or its supervisor is
 * gone; it is never replaced. Services that it needs are made first when they are listed in `dependsOn`.
 */
export class LocalProcess extends pulumi.CustomResource {
  /** The service's name. */
  declare readonly name: pulumi.Output<string>;
  /** The node that it belongs to. */
  declare readonly node: pulumi.Output<string>;
  /** Port name to the port in use on 127.0.0.1. */
  declare readonly ports: pulumi.Output<Readonly<Record<string, number>>>;

  constructor(name: string, args: LocalProcessArgs, options?: pulumi.CustomResourceOptions) {
    const props = {
      state: args.state,
      spec: args.spec,
      name: undefined,
      node: undefined,
      ports: undefined,
      __provider: dynamicProvider("infra/local/process-provider"),
    };
    super(localProcessType, name, props, options);
  }
}

import type { MarketplaceSpec } from "../spec.js";

/** What a command needs to know of the stack it works on. */
export interface CommandContext {
  /** Folder of Pulumi.yaml. */
  readonly project: string;
  readonly stack: string;
  /** `<project>/.state/<stack>` */
  readonly state: string;
  /** The stack's configuration object, defaults filled in. Throws its problems when it is wrong. */
  readonly spec: MarketplaceSpec;
  /** Brings the stack up, as `dynamos-fabric up` does. */
  up(): Promise<void>;
}

/** Where FABRIC is: the real one, or its emulator in this stack. Plain data that a resource keeps; endpoint.ts opens it. */
import { z } from "zod";
import { type HostMode, hostModes } from "./emulator/hosts-record.js";

export const endpointSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("fabric"),
    rc: z.string().optional(),
    host: z.string().optional(),
    tokenFile: z.string().optional(),
  }),
  z.strictObject({
    kind: z.literal("local"),
    state: z.string().min(1),
    service: z.string().min(1),
    hosts: z.enum(hostModes).optional(),
  }),
]);

/**
 * - `fabric`: the testbed, with the settings of FABlib's fabric_rc (`rc`, default `~/work/fabric_config/fabric_rc`). `host` and `tokenFile` go before
 *   what stands there.
 * - `local`: the emulator, a service of this stack's supervisor. `state` is the stack's state folder, relative to the folder of Pulumi.yaml. `hosts` is
 *   what the service was started with (`--hosts`): with any but `none`, the default, nodes can be logged in to.
 */
export type FabricEndpoint =
  | { readonly kind: "fabric"; readonly rc?: string; readonly host?: string; readonly tokenFile?: string }
  | {
      readonly kind: "local";
      readonly state: string;
      readonly service: string;
      readonly hosts?: HostMode;
    };

/** Whether two endpoints are the same place; files may differ. */
export function samePlace(a: FabricEndpoint, b: FabricEndpoint): boolean {
  if (a.kind === "fabric" && b.kind === "fabric") return a.host === b.host;
  return a.kind === "local" && b.kind === "local" && a.state === b.state && a.service === b.service;
}

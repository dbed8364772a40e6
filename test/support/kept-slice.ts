/** What the tests of SliceKeeper share: keepers on the emulated FABRIC, and API clients in trouble. */
import type { FabricApi } from "../../infra/fabric/api.js";
import { SliceKeeper, UnfinishedSlice } from "../../infra/fabric/slice-keeper.js";
import { parseSliceSpec, type SliceSpec } from "../../infra/fabric/spec.js";
import { InfraError } from "../../infra/problem.js";
import type { EmulatedFabric } from "./emulated-fabric.js";

export const mark = { project: "dynamos-fabric", stack: "dev", id: "mark-1" };
export const keeper = (
  fabric: EmulatedFabric,
  options: Partial<ConstructorParameters<typeof SliceKeeper>[0]> = {},
) => new SliceKeeper({ api: fabric.api, mark, sshKeys: () => ["ssh-ed25519 AAAA test"], ...options });

export const withNode = (
  spec: SliceSpec,
  name: string,
  node: object | undefined,
  more: object = {},
): SliceSpec => {
  const { [name]: _, ...rest } = spec.nodes;
  return parseSliceSpec({ ...spec, ...more, nodes: node === undefined ? rest : { ...rest, [name]: node } });
};

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const cause = error instanceof UnfinishedSlice ? error.cause : error;
    if (cause instanceof InfraError) return cause.code;
    throw error;
  }
  return "no error";
}

export const bound = (object: object, key: string | symbol): unknown => {
  const value: unknown = Reflect.get(object, key);
  return typeof value === "function" ? value.bind(object) : value;
};

/** The API for a run that ends when it makes this call. */
export const killedAt = (fabric: EmulatedFabric, call: "slice" | "accept") =>
  instead(fabric, call, () => Promise.reject(new Error("killed")));

/** The API with one call replaced. */
export const instead = <K extends keyof FabricApi>(
  fabric: EmulatedFabric,
  call: K,
  by: FabricApi[K],
): FabricApi => new Proxy(fabric.api, { get: (api, key) => (key === call ? by : bound(api, key)) });

export const lost = new InfraError({ code: "FAB-UNREACHABLE", message: "the connection broke" });

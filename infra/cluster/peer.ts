/** Packages that only clusters need: they are loaded when one is made, so that importing this library loads neither. */
import { createRequire } from "node:module";
import type * as command from "@pulumi/command";
import type * as kubernetes from "@pulumi/kubernetes";
import { InfraError } from "../problem.js";

const fromHere = createRequire(__filename);

/** @throws InfraError CLU-PEER-MISSING */
export const loadCommand = (): typeof command => load("@pulumi/command") as typeof command;
/** @throws InfraError CLU-PEER-MISSING */
export const loadKubernetes = (): typeof kubernetes => load("@pulumi/kubernetes") as typeof kubernetes;

function load(name: "@pulumi/command" | "@pulumi/kubernetes"): unknown {
  try {
    return fromHere(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    const { peerDependencies } = fromHere("dynamos-fabric/package.json") as {
      peerDependencies: Record<string, string>;
    };
    throw new InfraError(
      {
        code: "CLU-PEER-MISSING",
        message: `the package ${name} is not installed`,
        remedy: `npm install ${name}@${peerDependencies[name]}`,
      },
      { cause: error },
    );
  }
}

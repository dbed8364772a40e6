/** A step as a remote command: tried again when the way to the machine is at fault, and told by a code when it fails. */
import { setTimeout as sleep } from "node:timers/promises";
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { problemLine } from "../problem.js";
import { explainFailure, type FailedStep, pauseBefore } from "./failure.js";
import { loadCommand } from "./peer.js";
import type { Host } from "./spec.js";
import type { Step } from "./steps.js";

/** The machine a step runs on. */
export interface Target {
  readonly name: string;
  /** Secret as a whole. */
  readonly host: pulumi.Output<Host>;
}

export interface RemoteStepArgs {
  /** e.g. `prepare` */
  readonly step: string;
  readonly on: Target;
  readonly what: pulumi.Input<Step>;
  /** Whether the step is taken back when the cluster is destroyed. */
  readonly undo?: boolean;
  /** Whether what it writes is a secret, which goes neither to the screen nor in clear into the state. */
  readonly secretOutput?: boolean;
  /** Seconds that the command may take; the way to the machine comes on top. */
  readonly limit: number;
  /** Seconds that a machine may not answer. */
  readonly patience: number;
}

/** Seconds to dial once: a bastion and a machine far away. */
const dialSeconds = 20;
/** Tries with a key that is refused: a bastion bans those who try often. */
const refusals = 3;

export function remoteStep(
  resource: string,
  { step, on, what, undo, secretOutput, limit, patience }: RemoteStepArgs,
  options: pulumi.CustomResourceOptions,
): remote.Command {
  const value = pulumi.output(what);
  const at: { -readonly [K in keyof FailedStep]: FailedStep[K] } = { host: on.name, address: "", step };
  const connection = on.host.apply((host) => {
    at.address = host.address;
    return connectionOf(host);
  });
  let began: number | undefined;
  const again = new pulumi.ErrorHook(`${resource}-again`, async ({ errors }) => {
    began ??= performance.now();
    const waited = (performance.now() - began) / 1000;
    const pause = pauseBefore(errors, at, waited, { total: patience, refusals });
    if (pause === undefined) {
      const { problem } = explainFailure(errors[0] ?? "", at);
      // Of the stack and not of the resource, whose URN is not to be had when it failed.
      if (problem !== undefined) await pulumi.log.error(problemLine(problem));
      return false;
    }
    await sleep(pause * 1000);
    return true;
  });
  const { remote } = loadCommand();
  const time = `${limit + patience + 60}s`;
  return new remote.Command(
    resource,
    {
      connection,
      // Texts of the error that a failed command gives; what is done comes by standard input.
      create: "bash -s -- do",
      update: "bash -s -- do",
      ...(undo === true ? { delete: "bash -s -- undo" } : {}),
      // The hash goes here, and not into `triggers`: a changed trigger replaces the resource (@pulumi/command 1.2.1, remote/command.js:
      // replaceOnChanges), and the old one's delete would take the cluster down.
      stdin: value.apply(({ script, hash }) => `${script}# ${hash}\n`),
      addPreviousOutputInEnv: false,
      logging: secretOutput === true ? "none" : "stdoutAndStderr",
    },
    {
      customTimeouts: { create: time, update: time, delete: time },
      ...(secretOutput === true ? { additionalSecretOutputs: ["stdout", "stderr"] } : {}),
      ...options,
      hooks: { onError: [again] },
    },
  );
}

function connectionOf({ address, port, user, privateKey, hostKey, bastion }: Host) {
  const limits = { dialErrorLimit: 2, perDialTimeout: dialSeconds };
  const login = {
    host: address,
    port,
    user,
    privateKey,
    ...(hostKey === undefined ? {} : { hostKey }),
    ...limits,
  };
  if (bastion === undefined) return login;
  const { hostKey: bastionKey, ...proxy } = bastion;
  return {
    ...login,
    proxy: { ...proxy, ...(bastionKey === undefined ? {} : { hostKey: bastionKey }), ...limits },
  };
}

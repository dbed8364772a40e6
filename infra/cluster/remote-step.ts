/** A step as a remote command: tried again when the way to the machine is at fault, and told by a code when it fails. */
import { setTimeout as sleep } from "node:timers/promises";
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { problemLine } from "../problem.js";
import { type Connection, connectionOf } from "./connection.js";
import { explainFailure, type FailedStep, pauseBefore } from "./failure.js";
import { fetchLog, logNamed } from "./fetch-log.js";
import type { ClusterHostArgs } from "./kubespray-args.js";
import { loadCommand } from "./peer.js";
import { type Host, parseHost } from "./spec.js";
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

/** Tries with a key that is refused: a bastion bans those who try often. */
const refusals = 3;

/** A machine of a program, checked when it is known. */
export function targetOf(name: string, args: ClusterHostArgs | undefined): Target {
  const host = pulumi.secret(pulumi.output(args ?? {}).apply((value) => parseHost(name, value)));
  return { name, host };
}

export function remoteStep(
  resource: string,
  { step, on, what, undo, secretOutput, limit, patience }: RemoteStepArgs,
  options: pulumi.CustomResourceOptions,
): remote.Command {
  const value = pulumi.output(what);
  const { connection, hooks } = reaching(resource, { step, on, patience });
  const { remote } = loadCommand();
  const time = `${limit + patience + 60}s`;
  // A step that hangs ends on the machine itself, not only its connection.
  const command = (argument: string): string => `timeout -k 30 ${limit} bash -s -- ${argument}`;
  return new remote.Command(
    resource,
    {
      connection,
      // Texts of the error that a failed command gives; what is done comes by standard input.
      create: command("do"),
      update: command("do"),
      ...(undo === true ? { delete: command("undo") } : {}),
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
      hooks,
    },
  );
}

/** The way to a machine for a resource of `@pulumi/command`, and the hook that tries it again where the way is at fault. */
export function reaching(
  resource: string,
  { step, on, patience }: Pick<RemoteStepArgs, "step" | "on" | "patience">,
): { readonly connection: pulumi.Output<Connection>; readonly hooks: pulumi.ResourceHookBinding } {
  const at: { -readonly [K in keyof FailedStep]: FailedStep[K] } = { host: on.name, address: "", step };
  let known: Connection | undefined;
  const connection = on.host.apply((host) => {
    at.address = host.address;
    known = connectionOf(host);
    return known;
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
      const log = logNamed(errors[0] ?? "");
      if (log !== undefined && known !== undefined) await tellLog(known, log);
      return false;
    }
    await sleep(pause * 1000);
    return true;
  });
  return { connection, hooks: { onError: [again] } };
}

/** The log is a help: that it could not be fetched must not hide what failed. */
async function tellLog(connection: Connection, log: string): Promise<void> {
  try {
    await pulumi.log.info(`the whole log of the playbooks is in ${await fetchLog(connection, log)}`);
  } catch (error) {
    await pulumi.log.warn(`the log ${log} could not be fetched: ${(error as Error).message}`);
  }
}

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import type { Environment } from "./cache.js";
import { execute } from "./execute.js";
import { onPath } from "./locate.js";
import type { Step } from "./progress.js";

const images = { broker: "rabbitmq:3.13", store: "quay.io/coreos/etcd:v3.5.17" } as const;

const programs: Readonly<Record<string, { readonly image: string; readonly command: string }>> = {
  "rabbitmq-server": { image: images.broker, command: "rabbitmq-server" },
  epmd: { image: images.broker, command: "epmd" },
  etcd: { image: images.store, command: "etcd" },
};

/**
 * A script that runs a program of an image as if it were here: in the caller's working folder and as the caller's user, on the
 * machine's own network, with the variables of the broker. One container a working folder and program: a container that a
 * killed launcher left behind is removed first.
 */
export function launcher(runtime: string, program: string, image: string): string {
  return `#!/bin/sh
# Made by dynamos-fabric: runs ${program} in a container.
name="dynamos-fabric-${program}-$(printf %s "$PWD" | cksum | cut -d' ' -f1)"
${runtime} rm -f "$name" >/dev/null 2>&1
set -- --entrypoint ${program} ${image} "$@"
for variable in $(env | sed -n 's/^\\(RABBITMQ_[A-Z_]*\\|ERL_[A-Z_]*\\|ETCD_[A-Z_]*\\)=.*/\\1/p'); do set -- -e "$variable" "$@"; done
exec ${runtime} run --rm --init --name "$name" --network host --user "$(id -u):$(id -g)" \\
  -e HOME="$PWD" -v "$PWD:$PWD" -w "$PWD" "$@"
`;
}

/** `podman` or `docker`, if one is there and answers. */
export async function containerRuntime(env: Environment): Promise<string | undefined> {
  for (const name of ["podman", "docker"]) {
    const path = onPath(name, env);
    if (path === undefined) continue;
    const info = await execute(path, ["info"], { env, timeoutMs: 10_000 });
    if (info.code === 0) return name;
  }
  return undefined;
}

/** Fetches the images and writes launchers into `folder/bin`. */
export async function writeLaunchers(
  folder: string,
  runtime: string,
  env: Environment,
  step: Step,
): Promise<void> {
  for (const image of Object.values(images)) {
    step.update(image);
    const pull = await execute(runtime, ["pull", image], { env, timeoutMs: 900_000 });
    if (pull.code !== 0) {
      throw new InfraError({
        code: "TOOL-IMAGE",
        message: `${runtime} could not pull ${image} (${pull.stderr.trim().split("\n").at(-1)})`,
        remedy: "connect this machine, or install rabbitmq-server and etcd so that they are on PATH",
      });
    }
  }
  const bin = join(folder, "bin");
  mkdirSync(bin);
  for (const [name, { image, command }] of Object.entries(programs)) {
    writeFileSync(join(bin, name), launcher(runtime, command, image));
    chmodSync(join(bin, name), 0o755);
  }
}

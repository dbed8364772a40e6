import { join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { Environment } from "../../infra/toolchain/cache.js";
import { execute } from "../../infra/toolchain/execute.js";
import { onPath } from "../../infra/toolchain/locate.js";
import type { Progress } from "../../infra/toolchain/progress.js";
import { ensure } from "../../infra/toolchain/tools.js";

/** What builds images here. */
export interface BuilderTool {
  readonly kind: "docker" | "podman" | "buildah";
  readonly program: string;
}

/** One image to build. */
export interface BuildInput {
  /** Full reference, e.g. `ghcr.io/me/gateway:0.1.0-1a2b3c4d5e6f`. */
  readonly image: string;
  readonly containerfile: string;
  /** The folder that the Containerfile copies from. */
  readonly context: string;
  readonly arguments: Readonly<Record<string, string>>;
}

/** Where a builder without a daemon keeps its images, and what it trusts. */
export interface BuilderStorage {
  readonly folder: string;
}

const BUILD_MS = 900_000;

/** The arguments before the subcommand: buildah keeps all it makes in a folder of ours, and runs without any right of its own. */
function globals({ kind }: BuilderTool, { folder }: BuilderStorage): string[] {
  if (kind !== "buildah") return [];
  return [
    ...["--root", join(folder, "root"), "--runroot", join(folder, "run"), "--storage-driver", "vfs"],
    ...["--registries-conf", join(folder, "registries.conf")],
  ];
}

const trust = ({ kind }: BuilderTool, { folder }: BuilderStorage): string[] =>
  kind === "buildah" ? ["--signature-policy", join(folder, "policy.json")] : [];

/** The command line that builds an image: the same bytes give the same image, so no time is in it. */
export function buildCommand(
  tool: BuilderTool,
  storage: BuilderStorage,
  input: BuildInput,
): readonly string[] {
  const args = Object.entries(input.arguments).flatMap(([name, value]) => [
    "--build-arg",
    `${name}=${value}`,
  ]);
  const own: Readonly<Record<BuilderTool["kind"], readonly string[]>> = {
    docker: ["build"],
    podman: ["build", "--format", "oci", "--timestamp", "0"],
    buildah: ["bud", "--isolation", "chroot", "--format", "oci", "--timestamp", "0", ...trust(tool, storage)],
  };
  return [
    tool.program,
    ...globals(tool, storage),
    ...own[tool.kind],
    ...args,
    ...["--file", input.containerfile, "--tag", input.image, input.context],
  ];
}

/** The command line that brings an image to its registry, and what tells its digest there. */
export function pushCommand(
  tool: BuilderTool,
  storage: BuilderStorage,
  image: string,
  digestFile: string,
): readonly string[] {
  if (tool.kind === "docker") return [tool.program, "push", image];
  return [
    tool.program,
    ...globals(tool, storage),
    "push",
    ...trust(tool, storage),
    "--digestfile",
    digestFile,
    image,
  ];
}

/** The command line that writes an image into a file, as an OCI archive (docker's own is one too, from version 25 on). */
export function saveCommand(
  tool: BuilderTool,
  storage: BuilderStorage,
  image: string,
  file: string,
): readonly string[] {
  if (tool.kind === "docker") return [tool.program, "save", "--output", file, image];
  if (tool.kind === "podman")
    return [tool.program, "save", "--format", "oci-archive", "--output", file, image];
  return [
    tool.program,
    ...globals(tool, storage),
    "push",
    ...trust(tool, storage),
    image,
    `oci-archive:${file}:${image}`,
  ];
}

/** The command line that forgets an image: without layers that are shared, each is a whole copy of its base. */
export const removeCommand = (
  tool: BuilderTool,
  storage: BuilderStorage,
  image: string,
): readonly string[] => [tool.program, ...globals(tool, storage), "rmi", image];

/** Whichever is there: docker or podman that answer, buildah, else buildah from Debian's packages, unpacked into the cache. */
export async function findBuilder(env: Environment, progress: Progress): Promise<BuilderTool> {
  for (const kind of ["docker", "podman"] as const) {
    const program = onPath(kind, env);
    if (program === undefined) continue;
    // A client without its daemon is no builder.
    const answer = await execute(program, ["info", "--format", "json"], { env, timeoutMs: 20_000 });
    if (answer.code === 0) return { kind, program };
  }
  const { buildah } = await ensure(["buildah"], progress, env);
  return { kind: "buildah", program: buildah.path };
}

/** Runs one of these command lines. @throws InfraError K8S-IMAGES-BUILD with the tool's last words */
export async function run(command: readonly string[], what: string, env: Environment): Promise<string> {
  const [program = "", ...args] = command;
  const done = await execute(program, args, { env, timeoutMs: BUILD_MS });
  if (done.code === 0) return done.stdout;
  const words = done.stderr.trim().split("\n").slice(-3).join(" ");
  throw new InfraError({
    code: "K8S-IMAGES-BUILD",
    path: what,
    message: `${program} failed (${done.code}): ${words}`,
    remedy: "see the tool's words; is the base image to be had, and are you logged in to the registry?",
  });
}

/** Programs built from their Go modules into the cache: minutes, once. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { withLock } from "../../infra/toolchain/file-lock.js";

export interface GoPrograms {
  /** Folder in the cache, which has the version in its name. */
  readonly unit: string;
  /** Program to the package it is built from. */
  readonly packages: Readonly<Record<string, string>>;
  /** Lines of go.mod after `module` and `go`; may ask `go` for what they depend on. */
  readonly requirements: (go: Go) => Promise<readonly string[]>;
  /** For the linker, after `-s -w`. */
  readonly linkerFlags?: string;
  /** Static with C code in it. Default: no C code at all. */
  readonly c?: boolean;
}

export type Go = (...args: readonly string[]) => Promise<string>;

/** The folder that holds these programs. Those that are there are not built again. */
export async function goPrograms(wanted: GoPrograms): Promise<string> {
  const bin = join(cacheFolder(), wanted.unit, "bin");
  const missing = (): string[] => Object.keys(wanted.packages).filter((name) => !existsSync(join(bin, name)));
  if (missing().length === 0) return bin;
  mkdirSync(bin, { recursive: true });
  await withLock(join(cacheFolder(), "locks", wanted.unit), async () => {
    const names = missing();
    if (names.length === 0) return;
    const work = mkdtempSync(join(cacheFolder(), wanted.unit, "build-"));
    try {
      await build(wanted, names, work);
      for (const name of names) renameSync(join(work, "out", name), join(bin, name));
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  return bin;
}

async function build(wanted: GoPrograms, names: readonly string[], work: string): Promise<void> {
  const env = {
    ...process.env,
    GOFLAGS: "-mod=mod -buildvcs=false",
    CGO_ENABLED: wanted.c === true ? "1" : "0",
  };
  const go: Go = (...args) => runGo(args, work, env);
  const head = ["module lab", "go 1.24.0"];
  const write = (lines: readonly string[]): void =>
    writeFileSync(join(work, "go.mod"), `${lines.join("\n\n")}\n`);
  write(head);
  const packages = names.map((name) => wanted.packages[name] as string);
  write([...head, ...(await wanted.requirements(go)), ...packages.map((path) => `tool ${path}`)]);
  await go("mod", "tidy");
  const flags = [
    "-s -w",
    wanted.linkerFlags ?? "",
    wanted.c === true ? "-linkmode external -extldflags -static" : "",
  ];
  for (const [index, name] of names.entries())
    await go(
      "build",
      "-trimpath",
      "-ldflags",
      flags.join(" "),
      "-o",
      join("out", name),
      packages[index] as string,
    );
}

function runGo(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((done, failed) => {
    // Not `nice` itself: it may not be there.
    const child = spawn("go", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", failed);
    child.once("close", (code) =>
      code === 0
        ? done(stdout)
        : failed(new Error(`go ${args.join(" ")} ended with ${code}: ${stderr.slice(-2000)}`)),
    );
  });
}

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { LanguageRuntimeService } from "@pulumi/pulumi/proto/language_grpc_pb";
import {
  AboutResponse,
  DependencyInfo,
  type GetProgramDependenciesRequest,
  GetProgramDependenciesResponse,
  GetRequiredPackagesResponse,
  GetRequiredPluginsResponse,
  type LanguageHandshakeRequest,
  LanguageHandshakeResponse,
  type ProgramInfo,
  type RunRequest,
  RunResponse,
} from "@pulumi/pulumi/proto/language_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { endWithParent } from "./end-with-parent.js";
import { serve } from "./plugin-server.js";
import { type ProgramRun, programArguments, programEnvironment, runOutcome } from "./program-run.js";

// Stands in for `pulumi-language-nodejs`, which only the official command-line package brings: the service
// LanguageRuntime of pulumi/language.proto, for programs in Node. Started by the engine with its address as last argument;
// prints the port it listens on.

let engineAddress = process.argv.slice(2).findLast((arg) => !arg.startsWith("-")) ?? "";
const running = new Set<ChildProcess>();

function handshake(request: LanguageHandshakeRequest): LanguageHandshakeResponse {
  engineAddress = request.getEngineAddress() || engineAddress;
  return new LanguageHandshakeResponse();
}

function describe(request: RunRequest, info: ProgramInfo): ProgramRun {
  const options = info.getOptions()?.toJavaScript() ?? {};
  return {
    project: request.getProject(),
    stack: request.getStack(),
    organization: request.getOrganization(),
    root: info.getRootDirectory(),
    folder: info.getProgramDirectory(),
    entryPoint: info.getEntryPoint(),
    dryRun: request.getDryrun(),
    parallel: request.getParallel(),
    monitor: request.getMonitorAddress(),
    engine: engineAddress,
    config: Object.fromEntries(request.getConfigMap().toObject()),
    secretKeys: request.getConfigsecretkeysList(),
    typescript: options.typescript !== false,
    args: request.getArgsList(),
  };
}

async function run(request: RunRequest): Promise<RunResponse> {
  const info = request.getInfo();
  if (info === undefined)
    throw new Error("the engine named no program (RunRequest.info); is it older than 3.200?");
  const response = new RunResponse();
  const program = describe(request, info);
  let entry: string;
  try {
    entry = createRequire(join(program.folder, "program.js")).resolve("@pulumi/pulumi/cmd/run");
  } catch {
    response.setError(
      `no @pulumi/pulumi found from ${program.folder}; run npm install in the project's folder`,
    );
    return response;
  }
  const child = spawn(
    process.execPath,
    [
      ...preloaded(program).map((file) => `--require=${join(__dirname, file)}`),
      entry,
      ...programArguments(program),
    ],
    {
      cwd: program.folder,
      env: { ...process.env, ...programEnvironment(program) },
      // The engine reads our own output and shows it beside the stack: the program writes there itself.
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  running.add(child);
  const end = await new Promise<{ bail?: true; error?: string }>((settle) => {
    child.once("error", (error) => settle({ error: `program could not be started: ${error.message}` }));
    child.once("exit", (code, signal) => settle(runOutcome(code, signal)));
  });
  running.delete(child);
  if (end.bail) response.setBail(true);
  if (end.error !== undefined) response.setError(end.error);
  return response;
}

/** A program in TypeScript needs the compiler at once. */
const preloaded = ({ typescript }: ProgramRun): readonly string[] =>
  typescript ? ["watch-parent.js"] : ["watch-parent.js", "lazy-compiler.js"];

function readPackage(path: string): { version?: string; dependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** The program's direct dependencies and the versions installed; shown by `pulumi about`. */
function programDependencies(request: GetProgramDependenciesRequest): GetProgramDependenciesResponse {
  const root = request.getInfo()?.getRootDirectory() ?? request.getPwd();
  const response = new GetProgramDependenciesResponse();
  let names: string[];
  try {
    names = Object.keys(readPackage(join(root, "package.json")).dependencies ?? {});
  } catch {
    // A program without a package.json has no dependencies to show.
    return response;
  }
  for (const name of names) {
    const dependency = new DependencyInfo();
    dependency.setName(name);
    try {
      dependency.setVersion(readPackage(join(root, "node_modules", name, "package.json")).version ?? "");
    } catch {
      dependency.setVersion("not installed");
    }
    response.addDependencies(dependency);
  }
  return response;
}

function about(): AboutResponse {
  const response = new AboutResponse();
  response.setExecutable(process.execPath);
  response.setVersion(process.version);
  return response;
}

function pluginInfo(): PluginInfo {
  const info = new PluginInfo();
  info.setVersion("1.0.0");
  return info;
}

function cancel(): unknown {
  for (const child of running) child.kill("SIGTERM");
  return LanguageRuntimeService.cancel.requestDeserialize(Buffer.alloc(0));
}

endWithParent({ before: () => running.forEach((child) => void child.kill("SIGTERM")) });
serve(
  LanguageRuntimeService,
  {
    handshake,
    // Empty on purpose: what the engine is told of here it fetches at once; found on demand on PATH instead.
    getRequiredPackages: () => new GetRequiredPackagesResponse(),
    getRequiredPlugins: () => new GetRequiredPluginsResponse(),
    getPluginInfo: pluginInfo,
    getProgramDependencies: programDependencies,
    about,
    run,
    cancel,
  },
  "language host",
);

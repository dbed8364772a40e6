/** What the engine tells a language host about one run of a program (pulumi/language.proto, RunRequest). */
export interface ProgramRun {
  readonly project: string;
  readonly stack: string;
  readonly organization: string;
  /** Folder of Pulumi.yaml. */
  readonly root: string;
  /** Working folder of the program: where `main` lies. */
  readonly folder: string;
  /** File in `folder`, or `.` for what package.json names. */
  readonly entryPoint: string;
  readonly dryRun: boolean;
  /** Resources worked on at once; 0 leaves it to the SDK. */
  readonly parallel: number;
  readonly monitor: string;
  readonly engine: string;
  readonly config: Readonly<Record<string, string>>;
  readonly secretKeys: readonly string[];
  /** Option `runtime.options.typescript` of Pulumi.yaml; the official host's default is true. */
  readonly typescript: boolean;
  readonly args: readonly string[];
}

/** Arguments of `@pulumi/pulumi/cmd/run` for this run. */
export function programArguments(run: ProgramRun): string[] {
  const flags: [string, string][] = [
    ["monitor", run.monitor],
    ["engine", run.engine],
    ["organization", run.organization],
    ["project", run.project],
    ["root-directory", run.root],
    ["stack", run.stack],
    ["pwd", run.folder],
    ["parallel", run.parallel > 0 ? String(run.parallel) : ""],
  ];
  return [
    ...flags.filter(([, value]) => value !== "").flatMap(([name, value]) => [`--${name}`, value]),
    ...(run.dryRun ? ["--dry-run"] : []),
    run.entryPoint,
    ...run.args,
  ];
}

/** Variables the SDK reads its configuration from (`@pulumi/pulumi/runtime/config`). */
export function programEnvironment(run: ProgramRun): Record<string, string> {
  return {
    PULUMI_CONFIG: JSON.stringify(run.config),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(run.secretKeys),
    PULUMI_NODEJS_TYPESCRIPT: run.typescript ? "true" : "false",
  };
}

/** The SDK's exit code for "failed, and the user has been told" (`nodeJSProcessExitedAfterLoggingUserActionableMessage`). */
export const toldTheUser = 32;

/** How a program's end is reported to the engine: nothing, a bail (errors are out already), or an error text. */
export function runOutcome(code: number | null, signal: string | null): { bail?: true; error?: string } {
  if (code === 0) return {};
  if (code === toldTheUser) return { bail: true };
  return { error: signal === null ? `program exited with code ${code}` : `program was ended by ${signal}` };
}

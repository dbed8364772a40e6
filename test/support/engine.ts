import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Engine, prepareEngine, pulumi } from "../../infra/toolchain/engine.js";

/** One resource's step in a preview (`pulumi preview --json`). */
export interface PreviewStep {
  readonly op: string;
  readonly urn: string;
  readonly newState?: { readonly type: string; readonly inputs?: Record<string, unknown> };
  readonly oldState?: { readonly type: string };
}

export interface Preview {
  readonly code: number;
  readonly steps: readonly PreviewStep[];
  readonly changeSummary: Readonly<Record<string, number>>;
  readonly diagnostics: readonly { readonly severity: string; readonly message: string }[];
  /** Everything written, for a failing test's message. */
  readonly text: string;
}

export interface StackResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly inputs?: Record<string, unknown>;
  readonly outputs?: Record<string, unknown>;
  readonly initErrors?: readonly string[];
}

export interface Update {
  readonly code: number;
  /** What the run wrote. */
  readonly text: string;
  /** Resources in the state after the run. */
  readonly resources: readonly StackResource[];
  /** Secrets in clear. */
  readonly outputs: Readonly<Record<string, unknown>>;
}

export interface TestStackOptions {
  /** Text of the program: CommonJS; `require` finds `@pulumi/...`, and `dynamos-fabric/...` in this repository's dist. */
  readonly program: string;
  /** Stack configuration, e.g. `{ "test:x": 1 }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Default `test`: project and stack names. */
  readonly project?: string;
  readonly stack?: string;
}

const repository = resolve(__dirname, "../..");

/** A project in a folder of its own with the real engine; `end()` removes it (destroy first what must be destroyed). */
export class TestStack {
  readonly folder = mkdtempSync(join(tmpdir(), "dynamos-fabric engine "));
  readonly stack: string;
  #env: Record<string, string | undefined>;

  constructor(options: TestStackOptions) {
    this.stack = options.stack ?? "test";
    this.#env = { ...process.env, ...options.env };
    const project = { name: options.project ?? "test", main: "program.cjs" };
    const runtime = { name: "nodejs", options: { typescript: false } };
    writeFileSync(join(this.folder, "Pulumi.yaml"), JSON.stringify({ ...project, runtime }));
    writeFileSync(join(this.folder, "package.json"), JSON.stringify({ name: "test-program", private: true }));
    // As in a user's project: this package and the engine's SDK are installed in it. Providers find their code from there.
    const modules = join(this.folder, "node_modules");
    mkdirSync(modules);
    symlinkSync(repository, join(modules, "dynamos-fabric"));
    symlinkSync(join(repository, "node_modules", "@pulumi"), join(modules, "@pulumi"));
    this.program(options.program);
    this.config(options.config ?? {});
  }

  /** The stack's state folder. */
  get state(): string {
    return join(this.folder, ".state", this.stack);
  }

  /** Replaces the program. */
  program(text: string): void {
    // An older name, from before the package was installed in the project.
    writeFileSync(join(this.folder, "program.cjs"), `const fabricRequire = require;\n${text}`);
  }

  /** Replaces the configuration. */
  config(values: Readonly<Record<string, unknown>>): void {
    writeFileSync(join(this.folder, `Pulumi.${this.stack}.yaml`), JSON.stringify({ config: values }));
  }

  /** Adds variables to what the engine and its children get. */
  environment(more: Readonly<Record<string, string>>): void {
    this.#env = { ...this.#env, ...more };
  }

  async engine(): Promise<Engine> {
    return await prepareEngine({ project: this.folder, stack: this.stack, env: this.#env });
  }

  async preview(args: readonly string[] = []): Promise<Preview> {
    const run = await pulumi(await this.engine(), ["preview", "--json", ...args]);
    const text = `${run.stdout}\n${run.stderr}`;
    let json: Partial<Omit<Preview, "code" | "text">> = {};
    if (run.stdout.trimStart().startsWith("{")) json = JSON.parse(run.stdout);
    return {
      code: run.code,
      steps: json.steps ?? [],
      changeSummary: json.changeSummary ?? {},
      diagnostics: json.diagnostics ?? [],
      text,
    };
  }

  async up(args: readonly string[] = []): Promise<Update> {
    return await this.#update(["up", "--yes", "--skip-preview", ...args]);
  }

  async refresh(args: readonly string[] = []): Promise<Update> {
    return await this.#update(["refresh", "--yes", "--skip-preview", ...args]);
  }

  async destroy(args: readonly string[] = []): Promise<Update> {
    return await this.#update(["destroy", "--yes", "--skip-preview", ...args]);
  }

  /** Removes the project's folder. */
  end(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #update(args: readonly string[]): Promise<Update> {
    const engine = await this.engine();
    const run = await pulumi(engine, args);
    const exported = await pulumi(engine, ["stack", "export", "--show-secrets"]);
    const state: { deployment?: { resources?: StackResource[] } } = JSON.parse(exported.stdout || "{}");
    const resources = state.deployment?.resources ?? [];
    const stack = resources.find(({ type }) => type === "pulumi:pulumi:Stack");
    const outputs = Object.entries(stack?.outputs ?? {}).map(([name, value]) => [name, inClear(value)]);
    return {
      code: run.code,
      text: `${run.stdout}\n${run.stderr}`,
      resources,
      outputs: Object.fromEntries(outputs),
    };
  }
}

/** A value of a state that was exported with its secrets: each is an object with its text as JSON. Source: Pulumi, `apitype.SecretV1`. */
function inClear(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inClear);
  if (typeof value !== "object" || value === null) return value;
  const { plaintext } = value as { readonly plaintext?: unknown };
  if (typeof plaintext === "string") return inClear(JSON.parse(plaintext));
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, inClear(part)]));
}

/** The last part of a URN: the resource's name. */
export function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? urn;
}

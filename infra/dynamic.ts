import { readFileSync } from "node:fs";
import type { dynamic } from "@pulumi/pulumi";
import { InfraError, type Problem } from "./problem.js";

/**
 * The `__provider` text of a dynamic resource whose code is named instead of serialised.
 *
 * The text is constant and short, so state stays small and holds no path; it is run in the provider process, whose working folder is the
 * program's, and finds this package from there as Node would (installed, or by its own name inside the repository).
 *
 * @param modulePath of the compiled module below `dist`, without extension, e.g. `infra/local/process-provider`.
 *   The module exports `provider`, an object with the methods of `pulumi.dynamic.ResourceProvider`.
 */
export function dynamicProvider(modulePath: string): string {
  if (!/^[\w-]+(\/[\w-]+)*$/.test(modulePath)) throw new RangeError(`not a module path: ${modulePath}`);
  const name = `dynamos-fabric/provider/${modulePath}`;
  return `exports.handler=()=>require('module').createRequire(process.cwd()+'/x.js')('${name}').provider`;
}

/**
 * A deep copy without properties that are undefined. The SDK's dynamic provider fails on one such property *after* the work is done
 * ("Unexpected struct type"), so outputs go through here.
 */
export function stripUndefined<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** The engine's stand-in for a value not yet known at preview, as a dynamic provider's `check` sees it. Source: Pulumi SDK, `rpc.unknownValue`. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Whether some part of a provider's input is not known yet. */
export function hasUnknown(value: unknown): boolean {
  return JSON.stringify(value)?.includes(unknownValue) ?? false;
}

let watching = false;

/**
 * Ends this provider process when its parent dies: the engine, or the shell that stands between. An engine killed with SIGKILL leaves its
 * provider processes behind, and one of those could still finish a create that a new engine has begun again.
 *
 * Call it first thing in a provider module; more calls do nothing. It keeps no process alive.
 */
export function endWithParent(): void {
  if (watching) return;
  watching = true;
  const parent = process.ppid;
  // A shell as parent may outlive the engine while it waits for us: then its own parent is watched as well.
  const above = grandparent(parent);
  const timer = setInterval(() => {
    if (process.ppid === parent && grandparent(parent) === above) return;
    process.stderr.write("the engine is gone; this provider process ends too\n");
    process.exit(1);
  }, 1000);
  timer.unref();
}

function grandparent(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    if (!/^(da|ba|z|a)?sh$/.test(name)) return undefined;
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // no /proc on this system: the parent alone is watched
  }
}

/**
 * An error whose text is all a person sees: the SDK prints the stack of what a provider throws, which helps nobody who misspelt a name. An error of
 * a problem has the problem's code in its text.
 */
export function withoutStack(error: unknown): Error {
  const told = hasProblem(error) ? new InfraError(error.toProblem(), { cause: error }) : error;
  const plain = told instanceof Error ? told : new Error(String(told));
  plain.stack = plain.message;
  return plain;
}

/** Errors of the room that knows nothing of this one. */
const hasProblem = (error: unknown): error is { toProblem(): Problem } =>
  error instanceof Error && "toProblem" in error && typeof error.toProblem === "function";

/** The same provider, whose methods' errors are shown by their text alone. */
export function plainErrors<P extends object>(provider: P): P {
  const told = Object.entries(provider).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await method.apply(provider, args);
      } catch (error) {
        throw withoutStack(error);
      }
    },
  ]);
  return Object.fromEntries(told) as P;
}

/** Problems as the engine shows them: `property nodes.b.site value {...} has a problem: FAB-SITE-UNKNOWN  no site "LOAS"; did you mean LOSA?` */
export function checkFailures(problems: readonly Problem[], below = ""): dynamic.CheckFailure[] {
  return problems.map((p) => ({
    property: [below, p.path].filter(Boolean).join("."),
    reason: [p.code, [p.message, p.remedy].filter(Boolean).join("; ")].join("  "),
  }));
}

/**
 * The error of a resource that is there and not well: the engine keeps its id and outputs, calls `update` at the next `up`, and `delete` when it is
 * taken out. Without this an error from `create` means that there is nothing to remember.
 *
 * @param reasons shown a line each
 * @param inputs as `create` or `update` got them: they hold the `__provider` text, without which the engine could never call us again for it
 */
export function madeInPart(id: string, outputs: object, reasons: readonly string[], inputs: object): Error {
  const provider = (inputs as { readonly __provider?: unknown }).__provider;
  return Object.assign(withoutStack(new Error(reasons.join("\n"))), {
    id,
    properties: stripUndefined({ ...outputs, __provider: provider }),
    reasons: [...reasons],
  });
}

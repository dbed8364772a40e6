/** What the three providers share. */
import type { dynamic } from "@pulumi/pulumi";
import { withoutStack } from "../dynamic.js";
import { InfraError, type Problem } from "../problem.js";

/** Problems as the engine shows them: `property nodes.b.site value {...} has a problem: FAB-SITE-UNKNOWN  no site "LOAS"; did you mean LOSA?` */
export function checkFailures(problems: readonly Problem[]): dynamic.CheckFailure[] {
  return problems.map((p) => ({
    property: p.path ?? "",
    reason: [p.code, [p.message, p.remedy].filter(Boolean).join("; ")].join("  "),
  }));
}

/** A resource's properties without the provider's own text. */
export function withoutProvider<T extends object>(props: T): Omit<T, "__provider"> {
  const { __provider: _, ...rest } = props as T & { readonly __provider?: unknown };
  return rest;
}

/** Runs a provider's method; a person sees its error's text and no stack. */
export async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw withoutStack(error);
  }
}

/**
 * The SDK's form of "it exists but is not well": the engine keeps id and properties, shows the reasons, and calls update at the next `up`.
 *
 * @param props as the provider's method got them: they hold the `__provider` text, without which the engine could never delete the resource
 */
export function partialFailure(
  id: string,
  properties: object,
  reasons: readonly string[],
  props: object,
): Error {
  const error = new Error(reasons.join("\n"));
  const { __provider } = props as { readonly __provider?: unknown };
  const kept = __provider === undefined ? properties : { ...properties, __provider };
  return withoutStack(Object.assign(error, { id, properties: kept, reasons: [...reasons] }));
}

/** Whether the thing asked for is not there, by an answer of FABRIC's; being out of reach is not that. */
export function isGoneError(error: unknown): boolean {
  return error instanceof InfraError && (error.code === "FAB-NOT-FOUND" || error.code === "FAB-LOCAL-GONE");
}

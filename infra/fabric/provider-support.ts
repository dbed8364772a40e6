/** What the three providers share. */
import { InfraError } from "../problem.js";

/** A resource's properties without the provider's own text. */
export function withoutProvider<T extends object>(props: T): Omit<T, "__provider"> {
  const { __provider: _, ...rest } = props as T & { readonly __provider?: unknown };
  return rest;
}

/** Whether the thing asked for is not there, by an answer of FABRIC's; being out of reach is not that. */
export function isGoneError(error: unknown): boolean {
  return error instanceof InfraError && (error.code === "FAB-NOT-FOUND" || error.code === "FAB-LOCAL-GONE");
}

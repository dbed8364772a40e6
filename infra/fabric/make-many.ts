/**
 * Makes many resources at once. For each property of each resource the SDK keeps three stack traces, to tell where a promise was lost
 * (runtime/debuggable.ts of @pulumi/pulumi): with a hundred nodes they are a sixth of a preview's work and tell nothing but the loop that made them.
 * Without them the engine also learns no source position of these resources; messages and errors of the resources themselves stay as they are.
 */
export function makeMany<T>(make: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

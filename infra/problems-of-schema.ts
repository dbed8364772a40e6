import type { z } from "zod";
import type { Problem } from "./problem.js";

/** What a zod refinement may put into `params` of its issue, so that the problem keeps its own code and remedy. */
export interface CodedIssue {
  readonly code: string;
  readonly remedy?: string;
}

/** Calls `add` for each wrong value of a refinement, e.g. `refuse(ctx, { code: "FAB-SITE-UNKNOWN", message: "..." })`. */
export function refuse(
  ctx: {
    addIssue(issue: {
      code: "custom";
      message: string;
      path?: (string | number)[];
      params: Record<string, unknown>;
    }): void;
  },
  problem: Problem,
  path: (string | number)[] = [],
): void {
  const params =
    problem.remedy === undefined ? { code: problem.code } : { code: problem.code, remedy: problem.remedy };
  ctx.addIssue({ code: "custom", message: problem.message, path, params });
}

/**
 * A zod error as problems: each with its path (`nodes.clienttwo.site`) and code, `SPEC-INVALID` where the schema gave none.
 *
 * @param prefix put before each path, e.g. `["marketplace"]`
 */
export function problemsOfSchema(error: z.ZodError, prefix: readonly PropertyKey[] = []): Problem[] {
  return error.issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) =>
        problem(
          "SPEC-UNKNOWN-KEY",
          [...path, key],
          "no such setting",
          "remove it, or look for a misspelling",
        ),
      );
    }
    if (issue.code === "invalid_key") {
      return [problem("SPEC-INVALID", path, issue.issues[0]?.message ?? issue.message)];
    }
    const params: Record<string, unknown> = issue.code === "custom" ? (issue.params ?? {}) : {};
    const code = typeof params.code === "string" ? params.code : "SPEC-INVALID";
    return [
      problem(code, path, issue.message, typeof params.remedy === "string" ? params.remedy : undefined),
    ];
  });
}

function problem(code: string, path: readonly PropertyKey[], message: string, remedy?: string): Problem {
  return { code, path: pathText(path), message, ...(remedy === undefined ? {} : { remedy }) };
}

/** `["nodes", "a.b", "components", 0]` as `nodes["a.b"].components[0]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(String(part))) text += text === "" ? String(part) : `.${String(part)}`;
    else text += `[${JSON.stringify(String(part))}]`;
  }
  return text;
}

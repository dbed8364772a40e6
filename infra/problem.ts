/** One thing that is wrong in what a person wrote or asked for, told so that they can mend it. */
export interface Problem {
  /** Stable, e.g. `FAB-SITE-UNKNOWN`; listed in docs/errors.md, those of FABRIC in docs/fabric.md. */
  readonly code: string;
  /** File the value came from, where known. */
  readonly file?: string;
  /** Path in the spec, e.g. `nodes.clienttwo.site`. */
  readonly path?: string;
  readonly message: string;
  /** What to do next. */
  readonly remedy?: string;
}

/** An error with a stable code, carrying one or more problems. Everything in `infra/` that fails on purpose throws this. */
export class InfraError extends Error {
  readonly code: string;
  readonly problems: readonly Problem[];
  /** In a program that lets it through, Pulumi's Node runtime then prints the message alone, without a stack trace. */
  readonly __pulumiRunError = true;

  constructor(problems: Problem | readonly Problem[], options?: ErrorOptions) {
    const list: readonly Problem[] = Array.isArray(problems) ? problems : [problems as Problem];
    super(list.map(problemLine).join("\n"), options);
    this.name = "InfraError";
    this.problems = list;
    this.code = list[0]?.code ?? "INF-UNKNOWN";
  }
}

/** `nodes.b.site  FAB-SITE-UNKNOWN  no site "LOAS"; did you mean LOSA?` */
export function problemLine(p: Problem): string {
  const place = [p.file, p.path].filter(Boolean).join("  ");
  const text = p.remedy === undefined ? p.message : `${p.message}; ${p.remedy}`;
  return [place, p.code, text].filter((s) => s !== "").join("  ");
}

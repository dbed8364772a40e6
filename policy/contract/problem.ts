/**
 * One thing that is wrong, told so that a person can mend it.
 * `path` points into the document or configuration that caused it; `code` is stable and listed in docs/errors.md.
 */
export interface Problem {
  readonly code: string;
  readonly path?: string;
  readonly message: string;
  readonly remedy?: string;
}

/** An error with a stable code. Everything in `policy/` that fails on purpose throws this. */
export class CodedError extends Error {
  readonly code: string;
  readonly path: string | undefined;
  readonly remedy: string | undefined;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.message, options);
    this.name = "CodedError";
    this.code = problem.code;
    this.path = problem.path;
    this.remedy = problem.remedy;
  }

  toProblem(): Problem {
    return {
      code: this.code,
      message: this.message,
      ...(this.path === undefined ? {} : { path: this.path }),
      ...(this.remedy === undefined ? {} : { remedy: this.remedy }),
    };
  }
}

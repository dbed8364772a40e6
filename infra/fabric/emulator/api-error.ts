/** A refusal as the orchestrator words it. Source: cors_response.py; 500 is its answer to nearly everything. */
export class ApiError extends Error {
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 500,
    details: string,
  ) {
    super(details);
    this.name = "ApiError";
  }
}

/** A refusal by the web framework in front of the orchestrator (connexion 2.14), which has another shape: `{detail, status, title, type}`. */
export class FrontError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    detail: string,
  ) {
    super(detail);
    this.name = "FrontError";
  }
}

const titles: Readonly<Record<ApiError["status"], string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  500: "Internal Server Error",
};

/** The body of an {@link ApiError}. A 400 carries its type, size and status inside the error, the others outside. */
export function errorBody(status: ApiError["status"], details: string): Readonly<Record<string, unknown>> {
  const error = { message: titles[status], details };
  return status === 400
    ? { errors: [{ ...error, type: "error", size: 1, status }] }
    : { errors: [error], type: "error", size: 1, status };
}

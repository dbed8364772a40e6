import { z } from "zod";
import { InfraError, type Problem } from "../problem.js";
import type { ServiceSpec } from "./service.js";
import { templateProblems } from "./template.js";

const name = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,62}$/,
    "not a name: lower case letters, digits and -, a letter first, at most 63",
  );
const portName = z
  .string()
  .regex(/^[a-z][a-zA-Z0-9-]{0,62}$/, "not a port name: letters, digits and -, a lower case letter first");
const seconds = z.number().positive().max(3600);
const relativePath = z
  .string()
  .regex(/^[^/\0]+(\/[^/\0]+)*$/, "not a path relative to the service's folder")
  .refine(
    (path) => !path.split("/").some((part) => part === "." || part === ".."),
    "leaves the service's folder",
  );

const shape = z.strictObject({
  name,
  node: name,
  command: z.array(z.string()).min(1),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "not a name of an environment variable"), z.string())
    .optional(),
  ports: z.record(portName, z.int().min(0).max(65535)).optional(),
  files: z.array(z.strictObject({ path: relativePath, content: z.string() })).optional(),
  ready: z.union([
    z.strictObject({ tcp: portName }),
    z.strictObject({ http: portName, path: z.string().startsWith("/") }),
  ]),
  needs: z.array(name).optional(),
  startSeconds: seconds.optional(),
  stopSeconds: seconds.optional(),
});

/**
 * Everything wrong with a service specification, its templates included; empty when it can be registered.
 * Codes: LOC-SPEC, LOC-TEMPLATE. Paths are relative to the specification.
 */
export function serviceSpecProblems(value: unknown): Problem[] {
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    return parsed.error.issues.map((issue) => ({
      code: "LOC-SPEC",
      path: pathText(issue.path),
      message: issue.message,
      remedy: "see ServiceSpec for what is allowed",
    }));
  }
  const spec = parsed.data as ServiceSpec;
  const readyPort = "tcp" in spec.ready ? spec.ready.tcp : spec.ready.http;
  const problems: Problem[] = [];
  if (!Object.hasOwn(spec.ports ?? {}, readyPort)) {
    problems.push({
      code: "LOC-SPEC",
      path: "ready",
      message: `no port named "${readyPort}"`,
      remedy: "name one of `ports`",
    });
  }
  for (const [i, need] of (spec.needs ?? []).entries()) {
    if (need === spec.name) {
      problems.push({
        code: "LOC-CYCLE",
        path: `needs[${i}]`,
        message: `${need} needs itself`,
        remedy: "remove it from `needs`",
      });
    }
  }
  return [...problems, ...templateProblems(spec)];
}

/** The specification, checked. Throws InfraError with all of {@link serviceSpecProblems}, each path below the service's name. */
export function parseServiceSpec(value: unknown): ServiceSpec {
  const problems = serviceSpecProblems(value);
  if (problems.length === 0) return value as ServiceSpec;
  const service = (value as { name?: unknown } | null)?.name;
  const place = typeof service === "string" ? service : "service";
  throw new InfraError(problems.map((p) => ({ ...p, path: [place, p.path].filter(Boolean).join(".") })));
}

/** `files[0].path` */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

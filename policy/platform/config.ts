import { readFileSync, type Stats, statSync } from "node:fs";
import { z } from "zod";
import { CodedError, type Problem } from "../contract/problem.js";
import type { BusOptions } from "./bus.js";
import type { StoreOptions } from "./store.js";

/** The environment of a service is incomplete or wrong: `CFG-INVALID`, with all problems at once. */
export class ConfigError extends CodedError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super({
      code: "CFG-INVALID",
      message: problems.map((p) => `${p.path}: ${p.message}`).join("; "),
      remedy: "set these environment variables (docs/architecture.md, Services' environment)",
    });
    this.problems = problems;
  }
}

/** A TCP port; 0 lets the system choose. */
export const port = z.coerce.number().int().min(0).max(65535);

/**
 * Whether others than this process could read a file. One that belongs to another user and that we read by our group is ours alone all the
 * same: so a Kubernetes volume gives a secret to a pod that does not run as root.
 */
export const isOpenToOthers = (
  { mode, uid, gid }: Pick<Stats, "mode" | "uid" | "gid">,
  self: { readonly uid?: number | undefined; readonly gid?: number | undefined } = {
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  },
): boolean => (mode & 0o007) !== 0 || ((mode & 0o070) !== 0 && (uid === self.uid || gid !== self.gid));

/** A path to a file with one secret, readable by its owner only. Its value becomes the secret itself, without the final newline. */
export const secretFile = z
  .string()
  .min(1)
  .transform((path, context) => {
    try {
      if (isOpenToOthers(statSync(path))) {
        context.addIssue({ code: "custom", message: `${path} can be read by others; chmod 600 it` });
        return z.NEVER;
      }
      const secret = readFileSync(path, "utf8").replace(/\r?\n$/, "");
      if (secret === "") {
        context.addIssue({ code: "custom", message: `${path} is empty` });
        return z.NEVER;
      }
      return secret;
    } catch (error) {
      context.addIssue({
        code: "custom",
        message: `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      });
      return z.NEVER;
    }
  });

/** The environment that every service has. Spread it into a service's own `z.object`. `AMQP_PASSWORD_FILE` reads as the password. */
export const baseConfig = {
  SERVICE_NAME: z.string().min(1),
  AMQP_HOST: z.string().min(1),
  AMQP_PORT: port,
  AMQP_USER: z.string().min(1),
  AMQP_PASSWORD_FILE: secretFile,
  /** `host:port` */
  ETCD_ENDPOINT: z.string().regex(/^[^\s/]+:\d+$/, "must be host:port"),
  /** Absent, with its password: the store asks nobody who they are. */
  ETCD_USER: z.string().min(1).optional(),
  ETCD_PASSWORD_FILE: secretFile.optional(),
  HTTP_HOST: z.string().min(1).default("127.0.0.1"),
  HTTP_PORT: port,
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal"]).default("info"),
} as const;

/**
 * Reads a service's environment; other variables are ignored.
 *
 * @throws {@link ConfigError} naming every variable that is missing or wrong
 */
export function readConfig<S extends z.ZodObject>(
  schema: S,
  environment: NodeJS.ProcessEnv = process.env,
): z.infer<S> {
  const result = schema.safeParse(environment);
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map((issue) => ({
      code: "CFG-INVALID",
      path: issue.path.join("."),
      message: issue.message,
    })),
  );
}

/**
 * The store's part of a service's environment.
 *
 * @throws {@link ConfigError} for a user without a password, or the other way round
 */
export function storeOptions({
  ETCD_ENDPOINT: endpoint,
  ETCD_USER: user,
  ETCD_PASSWORD_FILE: password,
}: {
  readonly ETCD_ENDPOINT: string;
  readonly ETCD_USER?: string | undefined;
  readonly ETCD_PASSWORD_FILE?: string | undefined;
}): Pick<StoreOptions, "endpoint" | "login"> {
  if (user !== undefined && password !== undefined) return { endpoint, login: { user, password } };
  if (user === undefined && password === undefined) return { endpoint };
  const path = user === undefined ? "ETCD_USER" : "ETCD_PASSWORD_FILE";
  throw new ConfigError([{ code: "CFG-INVALID", path, message: "a user and its password come together" }]);
}

/** The broker's part of a service's environment. */
export function busOptions(config: {
  readonly SERVICE_NAME: string;
  readonly AMQP_HOST: string;
  readonly AMQP_PORT: number;
  readonly AMQP_USER: string;
  readonly AMQP_PASSWORD_FILE: string;
}): BusOptions {
  return {
    host: config.AMQP_HOST,
    port: config.AMQP_PORT,
    user: config.AMQP_USER,
    password: config.AMQP_PASSWORD_FILE,
    service: config.SERVICE_NAME,
  };
}

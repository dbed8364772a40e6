import { type Command, InvalidArgumentError } from "commander";
import { InfraError } from "../../infra/problem.js";
import { DEVELOPMENT_TOKEN_SECONDS, ROLE } from "../../policy/contract/users.js";
import { developmentIssuer, developmentToken } from "../runs/user-token.js";
import type { CommandContext } from "./context.js";

interface Options {
  readonly user: string;
  readonly role: readonly string[];
  readonly minutes: number;
}

/** `dynamos-fabric token --user NAME [--role ROLE]...`: an access token of the development issuer, on standard output. */
export function registerToken(program: Command, context: () => CommandContext): void {
  program
    .command("token")
    .description("an access token of this machine's development issuer, for any user")
    .requiredOption("--user <name>", "the user's name, as agreements write it")
    .option(
      "--role <role>",
      `${ROLE.requester}, ${ROLE.steward}:PARTY or ${ROLE.operator}; may be repeated (default: ${ROLE.requester})`,
      (role: string, roles: readonly string[]) => [...roles, role],
      [],
    )
    .option("--minutes <n>", "how long it is valid", minutes, DEVELOPMENT_TOKEN_SECONDS.default / 60)
    .action(async ({ user, role, minutes: valid }: Options) => {
      const roles = role.length === 0 ? [ROLE.requester] : role.map(known);
      const { state, spec } = context();
      const issuer = developmentIssuer(state);
      if (issuer === undefined) throw noIssuer(spec.users?.issuer);
      process.stdout.write(`${await developmentToken(issuer, { user, roles, seconds: valid * 60 })}\n`);
    });
}

function known(role: string): string {
  if (role === ROLE.requester || role === ROLE.operator || /^steward:\S+$/.test(role)) return role;
  throw new InfraError({
    code: "SPEC-VALUE",
    path: "--role",
    message: `"${role}" is no role`,
    remedy: `use ${ROLE.requester}, ${ROLE.steward}:PARTY or ${ROLE.operator}`,
  });
}

function noIssuer(issuer: string | undefined): InfraError {
  if (issuer === undefined)
    return new InfraError({
      code: "EXP-STACK-DOWN",
      message: "the development issuer is not running",
      remedy: "bring the stack up: npm run up",
    });
  return new InfraError({
    code: "USR-ISSUER-OTHER",
    path: "users.issuer",
    message: `this stack's users come from ${issuer}`,
    remedy: "get the token there",
  });
}

function minutes(text: string): number {
  const most = DEVELOPMENT_TOKEN_SECONDS.most / 60;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new InvalidArgumentError(`a whole number from 1 to ${most}`);
}

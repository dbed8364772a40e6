import { type Command, InvalidArgumentError } from "commander";
import { projectTags } from "../../infra/fabric/credentials.js";
import { openEndpoint } from "../../infra/fabric/endpoint.js";
import { type LeaseTerms, leaseHours, leaseLine, renewWithinHours } from "../../infra/fabric/lease.js";
import { noteLease } from "../../infra/fabric/lease-file.js";
import { SliceKeeper } from "../../infra/fabric/slice-keeper.js";
import { InfraError, type Problem } from "../../infra/problem.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { type StackSlice, stackSlices } from "./stack-slices.js";

interface RenewOptions {
  readonly now?: boolean;
  readonly lease?: string;
  readonly json?: boolean;
}

/** What became of one slice's lease; also an element of `--json`. */
export interface RenewResult {
  readonly name: string;
  readonly id: string;
  readonly renewed: boolean;
  /** ISO 8601 */
  readonly leaseEnd?: string;
  readonly notes: readonly string[];
}

/**
 * `dynamos-fabric renew [--now] [--lease 14d] [--json]`: renews the leases of the stack's slices that are near their end. Asks nothing, so it suits
 * cron: exit code 0 when all is well, whether something was renewed or not, else 1 with a code on stderr.
 */
export function registerRenew(program: Command, context: () => CommandContext): void {
  program
    .command("renew")
    .description("renew the leases of the stack's slices that are near their end; asks nothing, suits cron")
    .option("--now", "also those that are not near their end")
    .option("--lease <time>", "how long from now, e.g. 14d (default: as the stack has it)", lease)
    .option("--json", "as JSON")
    .action(async (options: RenewOptions) => {
      const where = place(context());
      const { results, problems } = await renewAll(where, options);
      if (options.json === true) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
      else for (const result of results) process.stdout.write(`${renewLine(result, new Date())}\n`);
      if (results.length === 0 && problems.length === 0)
        process.stderr.write(`stack ${where.stack} has no slice; nothing to renew\n`);
      if (problems.length > 0) throw new InfraError(problems);
    });
}

/** Each slice is tried, whatever becomes of the others. */
async function renewAll(
  where: Pick<CommandContext, "project" | "stack" | "state">,
  options: RenewOptions,
): Promise<{ readonly results: readonly RenewResult[]; readonly problems: readonly Problem[] }> {
  const results: RenewResult[] = [];
  const problems: Problem[] = [];
  for (const slice of stackSlices(where)) {
    try {
      const result = await renewOne(where, slice, options);
      if (result !== undefined) results.push(result);
    } catch (error) {
      if (!(error instanceof InfraError)) throw error;
      problems.push(...error.problems.map((p) => ({ path: slice.name, ...p })));
    }
  }
  return { results, problems };
}

/** Undefined when FABRIC has no such slice and the engine's state has none either: a run was killed before it was made. */
async function renewOne(
  where: Pick<CommandContext, "project" | "state">,
  slice: StackSlice,
  options: RenewOptions,
): Promise<RenewResult | undefined> {
  const { name, mark } = slice;
  const { api, token, sshKeys } = await openEndpoint(slice.endpoint, where.project);
  const tags = projectTags(await token());
  const keeper = new SliceKeeper({ api, mark, sshKeys, ...(tags === undefined ? {} : { tags }) });
  const id = slice.id ?? (await keeper.find(name));
  if (id === undefined) return undefined;
  const { leaseEnd, ...result } = await keeper.renew(id, termsOf(slice, options), {
    now: options.now === true,
  });
  if (leaseEnd !== undefined) noteLease(where.state, name, { id, leaseEnd });
  return {
    name,
    id,
    ...result,
    ...(leaseEnd === undefined ? {} : { leaseEnd: leaseEnd.toISOString() }),
  };
}

/** A lease that is given here is asked for; when it is due is as the stack has it, where that is still shorter than the lease. */
function termsOf({ name, terms }: StackSlice, options: RenewOptions): LeaseTerms {
  if (options.lease === undefined) {
    if (terms !== undefined) return terms;
    throw new InfraError({
      code: "FAB-LEASE-UNKNOWN",
      path: name,
      message: "neither the engine's state nor the configuration says how long the lease is to be",
      remedy: "say it with --lease, e.g. --lease 14d",
    });
  }
  const { lease } = options;
  const within = terms === undefined ? undefined : renewWithinHours(terms);
  return within === undefined || within >= (leaseHours(lease) ?? 0)
    ? { lease }
    : { lease, renewWithin: `${Math.max(1, Math.floor(within))}h` };
}

/** `slice vfl · renewed · lease until 2026-12-06 10:00 UTC, 13 days left` */
export function renewLine({ name, renewed, leaseEnd, notes }: RenewResult, now: Date): string {
  const end = leaseEnd === undefined ? "FABRIC gives no end" : leaseLine(new Date(leaseEnd), now);
  return [`slice ${name}`, renewed ? "renewed" : "nothing to do", end, ...notes].join(" · ");
}

function lease(text: string): string {
  if (leaseHours(text) === undefined) throw new InvalidArgumentError("days or hours, e.g. 14d or 36h");
  return text;
}

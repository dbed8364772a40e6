import type { Command } from "commander";
import { openEndpoint } from "../../infra/fabric/endpoint.js";
import type { FabricEndpoint } from "../../infra/fabric/endpoint-schema.js";
import { timeLeft } from "../../infra/fabric/lease.js";
import { type ListedSlice, listSlices } from "../../infra/fabric/slice-list.js";
import { InfraError } from "../../infra/problem.js";
import { columns } from "./columns.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { type DeleteOptions, deleteSlice } from "./slices-delete.js";
import { stackEndpoints, stackSlices } from "./stack-slices.js";

interface SlicesOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

/** Whose a slice is, seen from a stack. */
export type Whose = "this stack" | "other stack" | "no mark";

/** `dynamos-fabric slices [--all] [--json]` and `dynamos-fabric slices delete NAME`. */
export function registerSlices(program: Command, context: () => CommandContext): void {
  const slices = program
    .command("slices")
    .description("list all slices of the project: whose they are, their age and their lease")
    .option("--all", "also those that have ended")
    .option("--json", "as JSON")
    .action(async ({ all, json }: SlicesOptions) => {
      const where = place(context());
      const own = ownMarks(where);
      const listed: ListedSlice[] = [];
      for (const endpoint of stackEndpoints(where))
        listed.push(...(await slicesAt(endpoint, where.project, all === true)));
      process.stdout.write(
        json === true
          ? `${JSON.stringify(
              listed.map((s) => ({ ...s, whose: whose(s, own) })),
              null,
              2,
            )}\n`
          : slicesTable(listed, own, new Date()),
      );
    });
  slices
    .command("delete")
    .description("delete a slice of yours and all its nodes; asks first")
    .argument("<name>", "the slice's name or id")
    .option("-y, --yes", "do not ask")
    .option("--foreign", "with --yes: also a slice that does not bear this stack's mark")
    .action(async (name: string, options: DeleteOptions) => {
      process.exitCode = await deleteSlice(place(context()), name, options);
    });
}

/** The ids of the marks of this stack's slices. */
export function ownMarks(where: Parameters<typeof stackSlices>[0]): ReadonlySet<string> {
  return new Set(stackSlices(where).map((s) => s.mark.id));
}

export function whose(slice: Pick<ListedSlice, "mark">, own: ReadonlySet<string>): Whose {
  if (slice.mark === undefined) return "no mark";
  return own.has(slice.mark.id) ? "this stack" : "other stack";
}

async function slicesAt(endpoint: FabricEndpoint, project: string, all: boolean): Promise<ListedSlice[]> {
  try {
    const { api } = await openEndpoint(endpoint, project);
    return await listSlices(api, { everyones: true, all });
  } catch (error) {
    // A stack on this machine that is down has no emulator, and so no slices.
    if (error instanceof InfraError && error.code === "FAB-LOCAL-GONE") return [];
    throw error;
  }
}

/** A line a slice, this stack's first. Pure. */
export function slicesTable(slices: readonly ListedSlice[], own: ReadonlySet<string>, now: Date): string {
  if (slices.length === 0) return "no slices\n";
  const order: readonly Whose[] = ["this stack", "other stack", "no mark"];
  const rank = (s: ListedSlice) => order.indexOf(whose(s, own));
  const rows = [...slices]
    .sort((a, b) => rank(a) - rank(b))
    .map((s) => [
      s.name,
      whose(s, own),
      s.mark === undefined ? "-" : `${s.mark.project}/${s.mark.stack}`,
      s.state,
      s.leaseStart === undefined ? "-" : timeLeft(now.getTime() - s.leaseStart.getTime()),
      leaseCell(s, now),
      s.owner ?? "-",
      s.id,
    ]);
  return columns([["slice", "mark", "stack", "state", "age", "lease", "owner", "id"], ...rows]);
}

function leaseCell({ leaseEnd }: ListedSlice, now: Date): string {
  if (leaseEnd === undefined) return "-";
  const left = leaseEnd.getTime() - now.getTime();
  return left <= 0 ? "ended" : `${timeLeft(left)} left`;
}

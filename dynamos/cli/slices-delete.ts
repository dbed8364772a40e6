import { openEndpoint } from "../../infra/fabric/endpoint.js";
import { readGraphml } from "../../infra/fabric/graphml.js";
import { leaseLine } from "../../infra/fabric/lease.js";
import { endSlice } from "../../infra/fabric/slice-end.js";
import { type ListedSlice, listSlices } from "../../infra/fabric/slice-list.js";
import { fromGraph } from "../../infra/fabric/slice-view.js";
import { InfraError } from "../../infra/problem.js";
import { ask } from "./ask.js";
import type { CommandContext } from "./context.js";
import { exitCodes } from "./exit-codes.js";
import { type StackSlice, stackEndpoints, stackSlices } from "./stack-slices.js";

export interface DeleteOptions {
  readonly yes?: boolean;
  readonly foreign?: boolean;
}

type Where = Pick<CommandContext, "project" | "stack" | "state">;
type Api = Awaited<ReturnType<typeof openEndpoint>>["api"];

/** `dynamos-fabric slices delete NAME`: says what would go, asks, deletes and waits. Answers the exit code. */
export async function deleteSlice(where: Where, name: string, options: DeleteOptions): Promise<number> {
  const own = stackSlices(where);
  const { api, slice } = await findSlice(where, name);
  const ours = own.find((s) => s.mark.id === slice.mark?.id);
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  for (const line of whatGoes(slice, ours, where.stack, new Date())) say(line);
  if (!(await agreed(slice, ours !== undefined, options))) {
    say("nothing was deleted");
    return exitCodes.failed;
  }
  await endSlice(
    api,
    slice.id,
    ({ model }) => {
      // What is deleted is what was shown: between the question and the answer a person may be at lunch.
      if (fromGraph(readGraphml(model ?? "")).mark?.id === slice.mark?.id) return;
      throw new InfraError({
        code: "FAB-NOT-OURS",
        path: slice.name,
        message: "it bears another mark than when it was shown",
        remedy: "look again with dynamos-fabric slices",
      });
    },
    say,
  );
  say(`slice ${slice.name} (${slice.id}) is deleted`);
  return exitCodes.ok;
}

/** @throws InfraError FAB-SLICE-UNKNOWN; one's own slices only, FABRIC lets nobody delete another's */
async function findSlice(
  where: Where,
  name: string,
): Promise<{ readonly api: Api; readonly slice: ListedSlice }> {
  const names: string[] = [];
  for (const endpoint of stackEndpoints(where)) {
    const { api } = await openEndpoint(endpoint, where.project);
    const slices = await listSlices(api);
    const slice = slices.find((s) => s.id === name) ?? slices.find((s) => s.name === name);
    if (slice !== undefined) return { api, slice };
    names.push(...slices.map((s) => s.name));
  }
  throw new InfraError({
    code: "FAB-SLICE-UNKNOWN",
    path: name,
    message: "you have no living slice of this name or id",
    remedy: names.length === 0 ? "you have none at all" : `yours are ${names.join(", ")}`,
  });
}

/** What a person should know before the answer. Pure. */
export function whatGoes(
  slice: ListedSlice,
  ours: StackSlice | undefined,
  stack: string,
  now: Date,
): string[] {
  const { name, id, state, nodes = [], mark, leaseEnd } = slice;
  const lease = leaseEnd === undefined ? "" : `, ${leaseLine(leaseEnd, now)}`;
  const who =
    ours !== undefined
      ? `it is of this stack, ${stack}; its state still names the slice afterwards, and up --refresh makes it anew (down ends the whole stack)`
      : mark !== undefined
        ? `it is NOT of this stack but of ${mark.project}/${mark.stack}`
        : "it bears no mark: this library did not make it";
  return [
    `slice ${name} (${id}) is ${state}${lease}`,
    `its ${nodes.length} nodes and all that is on them would go: ${nodes.join(", ") || "none"}`,
    who,
  ];
}

/**
 * Whether it may go. A slice without this stack's mark needs more than a yes: its name typed again, or `--foreign`.
 *
 * @throws InfraError FAB-DELETE-UNASKED, FAB-NOT-OURS where nobody can answer
 */
export async function agreed(
  slice: Pick<ListedSlice, "name">,
  ours: boolean,
  { yes, foreign }: DeleteOptions,
  asks: typeof ask = ask,
): Promise<boolean> {
  if (yes === true) {
    if (ours || foreign === true) return true;
    throw new InfraError({
      code: "FAB-NOT-OURS",
      path: slice.name,
      message: "it does not bear this stack's mark, so --yes alone does not delete it",
      remedy: "if it is to go all the same, add --foreign",
    });
  }
  const answer = await asks(ours ? "delete it? [y/N] " : "to delete it all the same, type its name: ");
  if (answer === undefined) {
    throw new InfraError({
      code: "FAB-DELETE-UNASKED",
      path: slice.name,
      message: "nobody is there to be asked",
      remedy: ours ? "say --yes" : "say --yes --foreign",
    });
  }
  return ours ? /^y(es)?$/i.test(answer) : answer === slice.name;
}

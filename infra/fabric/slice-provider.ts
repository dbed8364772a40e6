/** The code behind Slice; run in the engine's provider process (infra/dynamic.ts). */
import type { dynamic } from "@pulumi/pulumi";
import {
  checkFailures,
  endWithParent,
  hasUnknown,
  madeInPart,
  plainErrors,
  stripUndefined,
} from "../dynamic.js";
import { stateFolder } from "../local/package-folder.js";
import { InfraError, problemLine } from "../problem.js";
import { projectTags } from "./credentials.js";
import { openEndpoint } from "./endpoint.js";
import type { SliceMark } from "./mark.js";
import { ensureMark, forgetMark, isEnding, noteEnding, noteSubmission } from "./mark-file.js";
import { isGoneError, withoutProvider } from "./provider-support.js";
import {
  checkInputs,
  diffInputs,
  inputsFromView,
  outputsOf,
  type SliceInputs,
  type SliceOutputs,
} from "./slice-inputs.js";
import { type KeeperOptions, type KeptSlice, SliceKeeper, UnfinishedSlice } from "./slice-keeper.js";
import { forgetLogins, writeLogins } from "./slice-logins.js";
import { slicePreflight } from "./slice-preflight.js";
import { hasCode, isUnanswered } from "./slice-watch.js";

endWithParent();

export const provider = plainErrors<dynamic.ResourceProvider<SliceInputs, SliceOutputs>>({
  async check(olds, news) {
    // Parts not known at preview cannot be judged; the engine checks again with all of it.
    if (hasUnknown(news)) return { inputs: news, failures: [] };
    const { inputs, problems } = checkInputs(withoutProvider(news));
    if (inputs === undefined) return { inputs: stripUndefined(news), failures: checkFailures(problems) };
    // Before the first run there are none.
    const before = (olds as Partial<SliceInputs> | undefined)?.nodes === undefined ? undefined : olds;
    const found = await slicePreflight(inputs, before);
    for (const note of found.notes) process.stderr.write(`warning: ${problemLine(note)}\n`);
    return { inputs: stripUndefined(inputs), failures: checkFailures(found.problems) };
  },

  async diff(_id, olds, news) {
    if (hasUnknown(news)) return { changes: true };
    // It was found gone, or a run that was to end it was killed: everything in it is made anew.
    if (isEnding(stateFolder(olds), olds.name))
      return { changes: true, replaces: ["name"], deleteBeforeReplace: true };
    const { changes, replaces } = diffInputs(olds, news);
    return { changes, replaces: [...replaces] };
  },

  async create(props) {
    const inputs = plain(props);
    const state = stateFolder(inputs);
    const mark = ensureMark(state, inputs.name, inputs.owner);
    const keeper = await keeperOf(inputs, mark, {
      beforeSubmit: () => noteSubmission(state, inputs.name, inputs.endpoint),
    });
    let kept: KeptSlice;
    try {
      kept = await keeper.create(inputs, inputs.adopt);
    } catch (error) {
      if (!(error instanceof UnfinishedSlice)) throw error;
      throw madeInPart(error.sliceId, unfinished(inputs, mark), [error.message], props);
    }
    await writeLogins(stateFolder(inputs), inputs, kept.view);
    return { id: kept.id, outs: complete(props, mark, kept) };
  },

  async update(id, olds, news) {
    const inputs = plain(news);
    const keeper = await keeperOf(inputs, olds.mark);
    let kept: KeptSlice;
    try {
      kept = await keeper.update(id, olds, inputs);
    } catch (error) {
      // The next `up` makes it anew.
      if (hasCode(error, "FAB-GONE")) noteEnding(stateFolder(inputs), inputs.name, true);
      throw error;
    }
    await writeLogins(stateFolder(inputs), inputs, kept.view);
    return { outs: complete(news, olds.mark, kept) };
  },

  async read(id, props) {
    // An import: a resource that was never made by this program has no mark.
    if (props?.mark === undefined) throw notImported(id);
    const inputs = plain(props);
    let kept: KeptSlice | undefined;
    try {
      kept = await (await keeperOf(inputs, props.mark)).read(id);
    } catch (error) {
      if (!isGoneError(error)) throw error;
    }
    if (kept === undefined) return { id: "" };
    const seen = inputsFromView(inputs, kept, props.mark.id);
    return {
      id,
      props: stripUndefined(outputsOf(seen, props.mark, kept)),
      inputs: stripUndefined(seen) as SliceOutputs,
    };
  },

  async delete(id, props) {
    const note = (ending: boolean) => noteEnding(stateFolder(props), props.name, ending);
    try {
      const beforeDelete = () => note(true);
      await (await keeperOf(props, props.mark, { beforeDelete })).delete(id);
    } catch (error) {
      // Refused, the slice stays as it is; without an answer nobody knows.
      if (!isUnanswered(error) && !hasCode(error, "FAB-TIMEOUT")) note(false);
      if (!isGoneError(error)) throw error;
    }
    forgetLogins(stateFolder(props), props.name);
    forgetMark(stateFolder(props), props.name);
  },
});

async function keeperOf(
  inputs: SliceInputs,
  mark: SliceMark,
  hooks: Pick<KeeperOptions, "beforeSubmit" | "beforeDelete"> = {},
): Promise<SliceKeeper> {
  const { api, token, sshKeys } = await openEndpoint(inputs.endpoint);
  const tags = projectTags(token());
  return new SliceKeeper({
    ...{ api, mark, sshKeys, progress },
    ...(tags === undefined ? {} : { tags }),
    ...hooks,
  });
}

/** The engine shows what a provider writes: on stdout as the state of things, on stderr as a message that stays. */
function progress(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The outputs of a slice that is as asked; what is not is an error that keeps them. */
function complete(props: SliceInputs, mark: SliceMark, kept: KeptSlice): SliceOutputs {
  for (const note of kept.notes ?? []) process.stderr.write(`${note}\n`);
  const outs = stripUndefined(outputsOf(plain(props), mark, kept));
  if (kept.failures.length > 0) throw madeInPart(kept.id, outs, kept.failures, props);
  return outs;
}

/** What is known of a slice that was submitted and whose end is not known: enough to go on with it. */
function unfinished(inputs: SliceInputs, mark: SliceMark): SliceOutputs {
  return stripUndefined({ ...inputs, mark, sliceState: "unknown", leaseEnd: "", hosts: {} });
}

function notImported(id: string): InfraError {
  return new InfraError({
    code: "FAB-IMPORT",
    message: "a slice is not imported by the engine",
    remedy: `take it over with adopt: "${id}" on FabricSlice or Slice`,
  });
}

/** The inputs inside a resource's properties. */
function plain(props: SliceInputs): SliceInputs {
  const { name, lease, renewWithin, nodes, networks, endpoint, owner, state, adopt } = props;
  return {
    ...{ name, lease, nodes, endpoint, owner, state },
    ...(renewWithin === undefined ? {} : { renewWithin }),
    ...(networks === undefined ? {} : { networks }),
    ...(adopt === undefined ? {} : { adopt }),
  };
}

/** Slices that a stack has submitted and that no engine's state names: a run was killed before their create was recorded, or the state was lost. I/O. */
import { openEndpoint } from "./endpoint.js";
import { readGraphml } from "./graphml.js";
import { ownership } from "./mark.js";
import { forgetMark, knownMarks, submittedTo } from "./mark-file.js";
import { endSlice } from "./slice-end.js";
import type { Progress } from "./slice-watch.js";

export interface UnrecordedOptions {
  /** The stack's state folder. */
  readonly state: string;
  /** Folder of Pulumi.yaml. */
  readonly project: string;
  readonly progress?: Progress;
}

/**
 * Ends what is left of a stack once the engine has destroyed all it knows of: every slice that bears a mark of this state folder. A slice that bears
 * another mark, or none, is left alone. The marks go with their slices. Where nothing was ever submitted, FABRIC is not asked.
 *
 * @returns the names of the slices that were ended
 * @throws InfraError the API's, of which FAB-UNREACHABLE and FAB-AUTH leave everything as it is
 */
export async function endUnrecordedSlices({
  state,
  project,
  progress,
}: UnrecordedOptions): Promise<readonly string[]> {
  const ended: string[] = [];
  for (const [name, mark] of Object.entries(knownMarks(state))) {
    const endpoint = submittedTo(state, name);
    if (endpoint !== undefined) {
      const { api } = await openEndpoint(endpoint, project);
      // One that is closing already is waited for.
      const left = (await api.slices({ name })).filter((s) => s.name === name && s.state !== "Dead");
      for (const { sliceId } of left) {
        const { model } = await api.slice(sliceId);
        // Looked at once, and not again at its end: no one else has our mark to give.
        if (model === undefined || ownership(readGraphml(model), mark) !== "ours") continue;
        progress?.(`slice ${name} (${sliceId}) is of a run that was killed; ending it`);
        await endSlice(api, sliceId, () => undefined, progress);
        ended.push(name);
      }
    }
    forgetMark(state, name);
  }
  return ended;
}

/** Ending a slice over the API. */
import type { FabricApi } from "./api.js";
import type { FabricSliceState } from "./api-answers.js";
import { isSettled } from "./slice-states.js";
import { hasCode, isUnanswered, type Progress, SliceWatch } from "./slice-watch.js";
import { waitUntil } from "./wait.js";

/** Seconds. */
const patience = 900;

/**
 * Ends a slice and waits until it is Dead. One that is being made or changed is waited for first: FABRIC deletes none before it has settled. Fine when
 * it is gone already.
 *
 * @param mayEnd looks at the slice with its graph just before it is deleted, and throws when it is not to be touched
 * @throws InfraError FAB-TIMEOUT and the API's
 */
export async function endSlice(
  api: FabricApi,
  id: string,
  mayEnd: (slice: FabricSliceState) => void,
  progress?: Progress,
): Promise<void> {
  const watch = new SliceWatch(api);
  let asked = false;
  let last = "";
  await waitUntil(
    async () => {
      const slice = await watch.get(id, "NONE");
      if (slice === undefined || slice.state === "Dead") return true;
      if (slice.state !== last) progress?.(`slice ${slice.name} is ${slice.state}`);
      last = slice.state;
      if (asked || !isSettled(slice.state)) return undefined;
      const whole = await watch.get(id);
      if (whole === undefined || !isSettled(whole.state)) return undefined;
      mayEnd(whole);
      try {
        await api.deleteSlice(id);
        asked = true;
      } catch (error) {
        // It began to change just now, or the answer was lost: the next look tells.
        if (!isUnanswered(error) && !hasCode(error, "FAB-UNSTABLE", "FAB-NOT-FOUND")) throw error;
      }
      return undefined;
    },
    { what: `slice ${id} to be gone`, seconds: patience },
  );
}

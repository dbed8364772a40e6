/** What runs before a slice is changed: the message of a preview, and the drain where there is one. */
import * as pulumi from "@pulumi/pulumi";
import { type ChangeableSlice, leavingNodes, planChange } from "./change.js";
import { consequences, type SliceBefore } from "./consequences.js";
import type { Slice } from "./provider.js";
import type { SliceHost } from "./slice-inputs.js";

/** What a `beforeRemove` gets: the nodes that go, and how the slice was before. */
export interface Removal {
  /** Names of the nodes whose machines go, those that are replaced included. */
  readonly leaving: readonly string[];
  /** All nodes as the slice's old outputs have them. */
  readonly hosts: Readonly<Record<string, SliceHost>>;
}

/** Hooks on the slice's update, by the name of the component. */
export function updateHooks(
  name: string,
  slice: () => Slice,
  beforeRemove: ((removal: Removal) => void | Promise<void>) | undefined,
): pulumi.ResourceHook[] {
  const message = new pulumi.ResourceHook(
    `${name}-consequences`,
    async (hook) => {
      if (hook.oldInputs === undefined || hook.newInputs === undefined) return;
      const before: SliceBefore = { ...(hook.oldOutputs as Outputs), ...(hook.oldInputs as ChangeableSlice) };
      const text = consequences(before, hook.newInputs as ChangeableSlice, new Date());
      // Not awaited: the log waits for the slice's URN, which is known once its registration answers, and that waits for this hook.
      if (text !== undefined) void pulumi.log.info(text, slice());
    },
    { onDryRun: true },
  );
  if (beforeRemove === undefined) return [message];
  const drain = new pulumi.ResourceHook(`${name}-before-remove`, async (hook) => {
    const change = changeOf(hook);
    const leaving = change === undefined ? [] : leavingNodes(change);
    if (leaving.length > 0)
      await beforeRemove({ leaving, hosts: (hook.oldOutputs as { hosts?: Removal["hosts"] }).hosts ?? {} });
  });
  return [message, drain];
}

function changeOf(hook: pulumi.ResourceHookArgs) {
  if (hook.oldInputs === undefined || hook.newInputs === undefined) return undefined;
  return planChange(hook.oldInputs as ChangeableSlice, hook.newInputs as ChangeableSlice);
}

/** What of a slice's outputs the messages need. */
type Outputs = Pick<SliceBefore, "leaseEnd" | "sliceState"> | undefined;

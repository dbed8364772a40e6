/** A slice's states and what they mean for one who waits. Source: ControlFramework 30e67e2, slice_state_machine.py. */

/** Everything is as asked. */
const good: ReadonlySet<string> = new Set(["StableOK", "ModifyOK", "AllocatedOK"]);
/** Something failed; the rest is there. */
const partial: ReadonlySet<string> = new Set(["StableError", "ModifyError", "AllocatedError"]);
const gone: ReadonlySet<string> = new Set(["Dead", "Closing"]);

export function isGood(state: string): boolean {
  return good.has(state);
}

export function isPartial(state: string): boolean {
  return partial.has(state);
}

/** Dead, or on the way to it: its name is free again and it holds nothing that could be changed. */
export function isGone(state: string): boolean {
  return gone.has(state);
}

/** Nothing is in progress: the slice can be changed, renewed and deleted. */
export function isSettled(state: string): boolean {
  return good.has(state) || partial.has(state);
}

/** A modify has come to its end and waits for accept. */
export function awaitsAccept(state: string): boolean {
  return state === "ModifyOK" || state === "ModifyError";
}

/** A sliver that will never be up again. */
export function isSliverFailed(state: string): boolean {
  return ["Failed", "CloseFail", "Closed", "CloseWait"].includes(state);
}

/** A sliver that is up. `ActiveTicketed` is up and being extended. */
export function isSliverUp(state: string): boolean {
  return state === "Active" || state === "ActiveTicketed";
}

/** The name among `names` that `wrong` was probably meant to be: at most a third of its letters differ. */
export function closest(wrong: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wrong.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(wrong.toLowerCase(), name.toLowerCase(), least);
    if (distance < least) {
      best = name;
      least = distance;
    }
  }
  return best;
}

/** ` ; did you mean X?`, or the names there are. */
export function suggestion(wrong: string, names: Iterable<string>): string {
  const all = [...names];
  const name = closest(wrong, all);
  if (name !== undefined) return `did you mean ${name}?`;
  if (all.length === 0) return "there is none";
  return `there are: ${all.slice(0, 10).join(", ")}${all.length > 10 ? ", ..." : ""}`;
}

/** Edits (insert, delete, replace, swap of neighbours count 1 each) from a to b; some number >= `bound` when there are that many. */
function editDistance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? bound;
}

/** A lease's length, e.g. `14d` or `36h`, and FABRIC's way to write times. */

/** The longest lease without the project tag Slice.NoLimitLifetime; a longer wish is clamped silently. Source: ControlFramework 30e67e2. */
export const usualLeaseHours = 15 * 24;
/** The longest lease with that tag: 26 weeks. Same source. */
export const longestLeaseHours = 26 * 7 * 24;

/** Hours in `14d` or `36h`; undefined for any other text. */
export function leaseHours(text: string): number | undefined {
  const match = /^([1-9][0-9]{0,3})(d|h)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (match[2] === "d" ? 24 : 1);
}

/** `2026-12-06 10:00:00 +0000`, as FABRIC's API wants and gives times. */
export function fabricTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} +0000`;
}

/** Reads FABRIC's form of a time; undefined for any other text. */
export function parseFabricTime(text: string): Date | undefined {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) ([+-]\d{2}):?(\d{2})$/.exec(text);
  if (match === null) return undefined;
  const time = new Date(`${match[1]}T${match[2]}${match[3]}:${match[4]}`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** The day of a lease's end for a message: `2026-12-06`. */
export function leaseDay(fabricTimeText: string): string {
  return fabricTimeText.slice(0, 10);
}

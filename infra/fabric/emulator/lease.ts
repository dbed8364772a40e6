/** Times as the orchestrator reads and writes them (`%Y-%m-%d %H:%M:%S %z`), and how long a lease may be. */
import { ApiError } from "./api-error.js";

const hour = 3_600_000;
/** Default of a lease, in hours. */
export const defaultLeaseHours = 24;
const maxLease = 15 * 24 * hour;
const maxLongLease = 26 * 7 * 24 * hour;
const leadTime = 60 * 60_000;

/** `2026-12-06 09:30:00 +0000` */
export function writeTime(ms: number): string {
  return `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19).replace("T", " ")} +0000`;
}

/** Milliseconds since 1970, or undefined for a text in another form or a day that does not exist. */
export function parseTime(text: string): number | undefined {
  const m = /^(\d{4})-(\d{1,2})-(\d{1,2}) +(\d{1,2}):(\d{1,2}):(\d{1,2}) +(?:Z|([+-])(\d{2}):?(\d{2}))$/.exec(
    text,
  );
  if (m === null) return undefined;
  const [y, mo, d, h, mi, s] = m.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const time = Date.UTC(y, mo - 1, d, h, mi, s);
  const back = new Date(time);
  const same =
    back.getUTCMonth() === mo - 1 &&
    back.getUTCDate() === d &&
    back.getUTCHours() === h &&
    back.getUTCMinutes() === mi;
  if (!same || s > 59) return undefined;
  const offset = m[7] === undefined ? 0 : (Number(m[8]) * 60 + Number(m[9])) * (m[7] === "-" ? -1 : 1);
  return time - offset * 60_000;
}

/**
 * A time given with a call. @throws ApiError 400 when it cannot be read or is past.
 */
export function leaseTime(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const time = parseTime(text);
  if (time === undefined) throw new ApiError(400, "Lease Time is not in format %Y-%m-%d %H:%M:%S %z");
  if (time <= now) {
    const python = `${new Date(time).toISOString().slice(0, 19).replace("T", " ")}+00:00`;
    throw new ApiError(400, `New lease time ${python} is in the past! `);
  }
  return time;
}

export interface Lease {
  readonly start: number;
  readonly end: number;
}

export interface LeaseWish {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** Hours. */
  readonly lifetime?: number | undefined;
  /** The project has the tag Slice.NoLimitLifetime. */
  readonly unlimited: boolean;
}

/**
 * The lease a new slice gets. Without both a start and an end it begins now; too long a wish is cut without a word, as in the real one.
 * @throws ApiError 400
 */
export function newLease(wish: LeaseWish, now: number): Lease {
  const { start, end } = wish;
  if (start !== undefined && start - now < leadTime) {
    throw new ApiError(400, "Requested Start Time should be at least 60 minutes from the current time!");
  }
  if (start === undefined || end === undefined) return { start: now, end: clampedEnd(wish, now) };
  if (end - start < leadTime)
    throw new ApiError(400, "The requested lease duration must be at least 60 minutes.");
  if (end - start > maxLease) {
    throw new ApiError(400, "Requested lease duration exceeds the maximum allowed duration of 360.0 hours.");
  }
  const lifetime = wish.lifetime || defaultLeaseHours;
  if (lifetime > Math.floor((end - start) / hour)) {
    throw new ApiError(
      400,
      "The specified lifetime exceeds the allowable duration between the start and end times.",
    );
  }
  return { start, end: start + lifetime * hour };
}

/** When a lease ends that is asked for now: cut to 15 days, or 26 weeks with the tag. */
export function clampedEnd(wish: LeaseWish, now: number): number {
  const asked = wish.end ?? now + (wish.lifetime || defaultLeaseHours) * hour;
  return Math.min(asked, now + (wish.unlimited ? maxLongLease : maxLease));
}

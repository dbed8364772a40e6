/** A lease's length, e.g. `14d` or `36h`, when it is renewed, and FABRIC's way to write times. Pure. */
import type { Problem } from "../problem.js";

const hour = 3_600_000;

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

/** When a lease is renewed, as its owner wrote it. */
export interface LeaseTerms {
  readonly lease: string;
  /** Time before the end from which on it is renewed. Default: {@link renewWithinHours}. */
  readonly renewWithin?: string | undefined;
}

/** The default of `renewWithin` for leases of six days and more. */
const usualRenewHours = 3 * 24;

/**
 * Hours before its end from which on a lease is renewed. Unless said: three days, or half of a lease that is shorter than six days, so that a
 * lease that was renewed just now is never renewed again at once.
 */
export function renewWithinHours({ lease, renewWithin }: LeaseTerms): number {
  const said = renewWithin === undefined ? undefined : leaseHours(renewWithin);
  return said ?? Math.min(usualRenewHours, (leaseHours(lease) ?? 24) / 2);
}

/** Whether a lease is to be renewed now. One whose end is not known is not. */
export function isRenewalDue(terms: LeaseTerms, end: Date | undefined, now: Date): boolean {
  return end !== undefined && end.getTime() - now.getTime() < renewWithinHours(terms) * hour;
}

/** The end of a lease that begins now. */
export function leaseFrom(lease: string, now: Date): Date {
  return new Date(now.getTime() + (leaseHours(lease) ?? 24) * hour);
}

/** What is wrong with a lease and its renewal together; what is wrong with each alone the schema says. */
export function leaseProblems({ lease, renewWithin }: Partial<LeaseTerms>): Problem[] {
  const length = lease === undefined ? undefined : leaseHours(lease);
  const before = renewWithin === undefined ? undefined : leaseHours(renewWithin);
  if (length === undefined || before === undefined || before < length) return [];
  return [
    {
      code: "FAB-RENEW-WITHIN",
      path: "renewWithin",
      message: `${renewWithin} is not shorter than the lease of ${lease}: each up would renew it`,
      remedy: "write a shorter time, e.g. 3d with a lease of 14d, or leave it out",
    },
  ];
}

/** That FABRIC would cut a lease, where the rights of the token's project are known: it does so without a word. */
export function leaseBeyondRights(lease: string, tags: readonly string[] | undefined): Problem[] {
  const hours = leaseHours(lease) ?? 0;
  if (hours <= usualLeaseHours || tags === undefined || tags.includes("Slice.NoLimitLifetime")) return [];
  return [
    {
      code: "FAB-LEASE-TOO-LONG",
      path: "lease",
      message: `${lease} asked; without the permission Slice.NoLimitLifetime FABRIC gives 15 days, silently`,
      remedy: "ask for 15d at most and renew, or ask the project's lead for the permission",
    },
  ];
}

/** `13 days`, `31 hours`, `12 minutes`: a time in the unit that people would use, rounded down. */
export function timeLeft(ms: number): string {
  const amount = (n: number, unit: string) => `${n} ${unit}${n === 1 ? "" : "s"}`;
  if (ms >= 48 * hour) return amount(Math.floor(ms / hour / 24), "day");
  if (ms >= hour) return amount(Math.floor(ms / hour), "hour");
  return amount(Math.max(0, Math.floor(ms / 60_000)), "minute");
}

/** What happens to a slice's lease, for people: `lease until 2026-12-06`. */
export function describeLease(
  before: LeaseTerms,
  after: LeaseTerms,
  { end, now }: { readonly end: Date | undefined; readonly now: Date },
): string {
  const day = (time: Date) => time.toISOString().slice(0, 10);
  const changed = before.lease !== after.lease;
  if (end === undefined) return changed ? `lease ${after.lease} from now` : "";
  // It may have been renewed since by another; the run itself looks.
  if (end <= now) return `the lease ended ${day(end)}, as last seen: up --refresh makes the slice anew`;
  const wanted = leaseFrom(after.lease, now);
  if (wanted > end && changed) return `lease extended until ${day(wanted)}`;
  if (wanted > end && isRenewalDue(after, end, now)) return `lease renewed until ${day(wanted)}`;
  const kept = `lease until ${day(end)}`;
  if (changed) return `${kept}, which FABRIC cannot shorten`;
  return before.renewWithin === after.renewWithin
    ? kept
    : `${kept}, renewed from ${day(new Date(end.getTime() - renewWithinHours(after) * hour))}`;
}

/** `lease until 2026-12-06 10:00 UTC, 13 days left` */
export function leaseLine(end: Date, now: Date): string {
  const left = end.getTime() - now.getTime();
  const until = `${end.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return left <= 0 ? `the lease has ended (${until})` : `lease until ${until}, ${timeLeft(left)} left`;
}

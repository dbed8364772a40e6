/** Whether work would outlive the lease of the machines that it runs on, and how near its end is. Pure. */
import { timeLeft } from "../infra/fabric/lease.js";

/** A slice with a lease. */
export interface Leased {
  readonly name: string;
  /** Absent where it is not known. */
  readonly leaseEnd?: Date;
}

/** Before its end, from which on `status` warns of a lease. */
const warnWithin = 48 * 3_600_000;
const remedy = "dynamos-fabric renew --now extends it";

const until = (end: Date): string => `${end.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/**
 * One line when work that begins now would still be going on when a lease ends; undefined when all leases last.
 *
 * @param workMs how long the work takes, as far as can be told
 */
export function outlivesLease(
  what: string,
  slices: readonly Leased[],
  workMs: number,
  now: Date,
): string | undefined {
  const [first] = ending(slices);
  if (first === undefined || now.getTime() + workMs < first.leaseEnd.getTime()) return undefined;
  const left = first.leaseEnd.getTime() - now.getTime();
  if (left <= 0) return `warning: the lease of slice ${first.name} ended ${until(first.leaseEnd)}; ${remedy}`;
  return `warning: ${what} takes about ${timeLeft(workMs)} more and the lease of slice ${first.name} ends in ${timeLeft(left)} (${until(first.leaseEnd)}); ${remedy}`;
}

/** A line for each lease that ends within 48 hours, or has ended. */
export function nearEnds(slices: readonly Leased[], now: Date): string[] {
  return ending(slices).flatMap(({ name, leaseEnd }) => {
    const left = leaseEnd.getTime() - now.getTime();
    if (left > warnWithin) return [];
    if (left <= 0)
      return [
        `warning: the lease of slice ${name} ended ${until(leaseEnd)} and its machines are gone with it; dynamos-fabric up --refresh makes them anew`,
      ];
    return [
      `warning: the lease of slice ${name} ends in ${timeLeft(left)} (${until(leaseEnd)}), and its machines with it; ${remedy}`,
    ];
  });
}

/** Those whose end is known, the nearest first. */
function ending(slices: readonly Leased[]): Required<Leased>[] {
  return slices
    .flatMap(({ name, leaseEnd }) => (leaseEnd === undefined ? [] : [{ name, leaseEnd }]))
    .sort((a, b) => a.leaseEnd.getTime() - b.leaseEnd.getTime());
}

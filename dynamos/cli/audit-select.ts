import { InfraError } from "../../infra/problem.js";
import type { AuditRecord } from "../../policy/contract/audit.js";

/** Which records are meant: all conditions together. */
export interface Selection {
  readonly job?: string | undefined;
  readonly user?: string | undefined;
  readonly party?: string | undefined;
  /** ISO 8601, or a time before now: `90s`, `15m`, `2h`, `7d`. */
  readonly since?: string | undefined;
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * A selection as a condition on a record.
 *
 * @throws InfraError SPEC-VALUE for a time that is none
 */
export function selected(selection: Selection, now = Date.now()): (record: AuditRecord) => boolean {
  const since = selection.since === undefined ? undefined : sinceTime(selection.since, now);
  const { job, user, party } = selection;
  return ({ time, facts }) =>
    (job === undefined || facts.job === job) &&
    (user === undefined || facts.user === user || names(facts.users).includes(user)) &&
    (party === undefined || partiesOf(facts).has(party)) &&
    (since === undefined || Date.parse(time) >= since);
}

/** All parties that a record tells of. */
export function partiesOf(facts: AuditRecord["facts"]): ReadonlySet<string> {
  const { party, parties, computeProvider, computeProviders, agreements } = facts;
  return new Set([
    ...names([party, computeProvider]),
    ...names(parties),
    ...names(computeProviders),
    ...(typeof agreements === "object" && agreements !== null ? Object.keys(agreements) : []),
  ]);
}

function names(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((v) => typeof v === "string" && v !== "") : [];
}

function sinceTime(text: string, now: number): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const time =
    count === undefined || unit === undefined
      ? /^\d{4}-\d\d-\d\d/.test(text)
        ? Date.parse(text)
        : Number.NaN
      : now - Number(count) * (SECONDS[unit] ?? 0) * 1000;
  if (!Number.isNaN(time)) return time;
  throw new InfraError({
    code: "SPEC-VALUE",
    path: "--since",
    message: `"${text}" is no time`,
    remedy: "write for example 2026-11-23T10:00:00Z, or 90s, 15m, 2h, 7d for that long ago",
  });
}

/** The head of a table in CSV (RFC 4180). */
export const CSV_HEAD = "chain,seq,time,kind,job,round,user,parties,answer,reasons,revision,facts\r\n";

/** A record as a line of that table. `facts` has everything, as JSON. */
export function csvLine(chain: string, { seq, time, kind, facts }: AuditRecord): string {
  const reasons = Array.isArray(facts.reasons)
    ? facts.reasons.map((r: { readonly code?: unknown }) => text(r.code))
    : [];
  const answer = facts.answer ?? facts.change ?? "";
  const cells = [
    ...[chain, seq, time, kind, facts.job, facts.round, facts.user, [...partiesOf(facts)].join(" ")],
    ...[answer, [...new Set(reasons)].join(" "), facts.revision, JSON.stringify(facts)],
  ];
  return `${cells.map((cell) => csvCell(text(cell))).join(",")}\r\n`;
}

function text(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

/** A leading apostrophe keeps a spreadsheet from taking a stranger's text for a formula. */
function csvCell(cell: string): string {
  const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A record as a line for people. */
export function humanLine({ seq, time, kind, facts }: AuditRecord): string {
  const { job, round, user, answer, change, party, reasons, jti, token, problem } = facts;
  const codes = Array.isArray(reasons) ? [...new Set(reasons.map((r) => text(r.code)))].join(" ") : "";
  const words = [
    ...[text(answer ?? change), text(party), text(user), text(facts.type)],
    job === undefined ? "" : `${text(job)}/${text(round)}`,
    ...[token === undefined ? "" : `token ${text(token)}`, text(jti), codes, text(problem)],
    kind === "start" || kind === "cut" || kind === "break" ? JSON.stringify(facts) : "",
  ];
  return `${time}  ${String(seq).padStart(6)}  ${kind.padEnd(9)}  ${words.filter((w) => w !== "").join("  ")}`;
}

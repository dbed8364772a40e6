import type { Dataset, Relation, RequestType } from "./documents.js";

/** What a step may read of one table. */
export interface TableAccess {
  /** Only these columns. Absent: all but the withheld ones. */
  readonly columns?: readonly string[];
  /** Sensitive columns that the agreement does not name: they must not be read. */
  readonly withheld: readonly string[];
  /** Columns of the steward's file that are not in the copy that the microservice got. Absent: it got the whole file, or none. */
  readonly left?: readonly string[];
}

/** What a step may read of one data set. */
export interface DataSetAccess {
  readonly delimiter: string;
  /** By table. */
  readonly tables: Readonly<Record<string, TableAccess>>;
}

/** What a step may read of its steward's data, by data set. */
export type DataAccess = Readonly<Record<string, DataSetAccess>>;

/**
 * What a user's request may read at one steward: the data sets and columns that the policy enforcer granted, as far as the steward's rule for the user
 * goes. A sensitive column is readable only where the rule names it among its `columns`; a rule that limits nothing does not give it away. Pure.
 *
 * @param relation - the steward's rule for the user. Absent: nothing may be read
 */
export function dataAccess(
  granted: Pick<RequestType, "dataSets" | "columns">,
  dataSets: Iterable<Dataset>,
  relation: Pick<Relation, "dataSets" | "columns"> | undefined,
): DataAccess {
  const access: Record<string, DataSetAccess> = {};
  if (relation === undefined) return access;
  const asked = new Set([...(granted.dataSets ?? []), ...Object.keys(granted.columns ?? {})]);
  for (const { name, delimiter, tables, sensitive_columns: sensitive = {} } of dataSets) {
    if (!asked.has(name) || relation.dataSets?.includes(name) === false) continue;
    const wanted = own(granted.columns, name);
    const allowed = own(relation.columns, name);
    access[name] = {
      delimiter,
      tables: Object.fromEntries(
        tables.map((table) => [
          table,
          tableAccess(table, tables.length > 1, wanted, allowed, own(sensitive, table) ?? []),
        ]),
      ),
    };
  }
  return access;
}

function tableAccess(
  table: string,
  several: boolean,
  wanted: readonly string[] | undefined,
  allowed: readonly string[] | undefined,
  sensitive: readonly string[],
): TableAccess {
  const prefix = several ? `${table}.` : "";
  const here = (columns: readonly string[]): string[] =>
    columns.flatMap((column) => (column.startsWith(prefix) ? [column.slice(prefix.length)] : []));
  const named = allowed && new Set(here(allowed));
  const withheld = sensitive.filter((column) => named?.has(column) !== true);
  const columns =
    wanted === undefined ? named && [...named] : here(wanted).filter((c) => named?.has(c) ?? true);
  if (columns === undefined) return { withheld };
  return { columns: columns.filter((column) => !withheld.includes(column)), withheld };
}

const own = <T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;

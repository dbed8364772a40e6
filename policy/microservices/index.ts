/** Microservices to be used in experiments: `import { sql, anonymise, aggregate } from "dynamos-fabric/microservices"`. */
export { type AggregateRule, aggregate, aggregateTable, type Measure } from "./aggregate.js";
export { anonymise, anonymiseTable, type Done, type Generalisation, type TableRule } from "./anonymise.js";
export { type SqlLimits, type SqlOptions, sql } from "./sql.js";
export { type Cell, type Table, type Tables, tablesOf, tablesPart } from "./table.js";

import { compile } from "json-schema-to-typescript";
import type { RequestType } from "../../policy/contract/documents.js";

const HEADER =
  "/** Made by `dynamos-fabric types` from the request types' schemas. What is changed here is lost. */\n";

/**
 * TypeScript source of what requests' data may hold: an interface for each request type, and `Requests`, all of them by their names, for
 * `GatewayClient<Requests>` and for a microservice's `serve<Requests["..."]>`. The same documents give the same text.
 */
export async function requestTypesSource(types: readonly RequestType[]): Promise<string> {
  const parts: string[] = [];
  const names = new Map<string, string>();
  for (const { name, schema } of [...types].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const type = distinct(typeName(name), new Set(names.values()));
    names.set(name, type);
    const source = await compile({ type: "object", ...structuredClone(schema ?? {}), title: type }, type, {
      bannerComment: "",
      // Nothing is fetched or read for a schema that points elsewhere.
      $refOptions: { resolve: { external: false, http: false, file: false } },
    });
    parts.push(source.trim());
  }
  const entries = [...names].map(([name, type]) => `  ${JSON.stringify(name)}: ${type};`);
  const all = `/** A request's data by its type. */\nexport interface Requests {\n${entries.join("\n")}\n}`;
  return `${HEADER}${[...parts, all].join("\n\n")}\n`;
}

/** `sql-data.request` becomes `SqlDataRequest`. */
function typeName(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return /^[A-Z]/.test(joined) ? joined : `Request${joined}`;
}

function distinct(name: string, taken: ReadonlySet<string>): string {
  for (let n = 1; ; n += 1) {
    const candidate = n === 1 ? name : `${name}${n}`;
    if (candidate !== "Requests" && !taken.has(candidate)) return candidate;
  }
}

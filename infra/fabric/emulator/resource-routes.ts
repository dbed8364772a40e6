/** `resources` and `portalresources`: site data. */
import { advertisement } from "./advertisement.js";
import { ApiError } from "./api-error.js";
import { freeCapacity } from "./capacity.js";
import { writeGraph } from "./formats.js";
import { leaseTime } from "./lease.js";
import { queries, readQuery } from "./query.js";
import { sendData } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import { chosenSites, resourceSummary } from "./summary.js";

interface Window {
  readonly start_date?: string | undefined;
  readonly end_date?: string | undefined;
}

export function resourceRoutes(context: RouteContext): void {
  const { app, store, now, who } = context;
  const sites = () => freeCapacity(context.scenario, store.read(), { now: now() });
  const model = (
    level: number,
    format: string,
    query: { readonly includes?: string | undefined; readonly excludes?: string | undefined },
  ) => [
    { model: writeGraph(advertisement(chosenSites(sites(), query.includes, query.excludes), level), format) },
  ];

  app.get("/resources", (request, reply) => {
    const query = readQuery(queries.resources, request.query);
    who(request);
    checkWindow(query, now());
    return sendData(reply, "resources", model(query.level ?? 1, "GRAPHML", query));
  });
  app.get("/portalresources", (request, reply) => {
    const query = readQuery(queries.portalResources, request.query);
    checkWindow(query, now());
    return sendData(reply, "resources", model(query.level ?? 1, query.graph_format ?? "GRAPHML", query));
  });
  for (const [path, open] of [
    ["/resources/summary", false],
    ["/portalresources/summary", true],
  ] as const) {
    app.get(path, (request, reply) => {
      const query = readQuery(queries.summary, request.query);
      if (!open) who(request);
      checkWindow(query, now());
      const wish = {
        level: query.level ?? 2,
        includes: query.includes,
        excludes: query.excludes,
        types: query.type,
      };
      return sendData(reply, "resources.summary", [resourceSummary(sites(), wish)]);
    });
  }
  // what a site will have free, and when: the real one passes these on to another service, which a testbed need not have
  const noReports = (): never => {
    throw new ApiError(500, "Reports API is not enabled");
  };
  app.get("/resources/calendar", noReports);
  app.post("/resources/find-slot", noReports);
}

function checkWindow(query: Window, now: number): void {
  const start = leaseTime(query.start_date, now);
  const end = leaseTime(query.end_date, now);
  if (start !== undefined && end !== undefined && end - start < 3_600_000) {
    throw new ApiError(400, "Time range should be at least 60 minutes long!");
  }
}

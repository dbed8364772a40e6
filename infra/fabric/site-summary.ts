/** FABRIC's public summary of its sites, read as the room that each has. Pure. */
import { z } from "zod";
import type { SiteRoom } from "./site-room.js";

/** More are not read; FABRIC has 33 sites and some 200 workers. */
const mostSites = 1_000;
const mostHosts = 20_000;

const amounts = {
  cores_available: z.number().default(0),
  ram_available: z.number().default(0),
  disk_available: z.number().default(0),
  components: z
    .record(
      z.string(),
      z.looseObject({
        capacity: z.number().default(0),
        allocated: z.number().default(0),
        available: z.number().optional(),
      }),
    )
    .optional(),
};
const summarySchema = z.object({
  data: z
    .array(
      z.object({
        sites: z
          .array(z.looseObject({ name: z.string(), state: z.string().optional(), ...amounts }))
          .max(mostSites)
          .default([]),
        hosts: z
          .array(z.looseObject({ name: z.string().optional(), site: z.string(), ...amounts }))
          .max(mostHosts)
          .default([]),
      }),
    )
    .min(1),
});

/** The answer of `/portalresources/summary`, level 2: a site's workers are its hosts. A site whose hosts are not told counts as one. */
export function sitesInSummary(answer: unknown): SiteRoom[] {
  const { sites, hosts } = summarySchema.parse(answer).data[0] ?? { sites: [], hosts: [] };
  const workers = Map.groupBy(hosts, (host) => host.site);
  return sites.map((site) => {
    const own = workers.get(site.name) ?? [];
    return {
      site: site.name,
      maintenance: site.state !== undefined && site.state !== "Active",
      workers: (own.length > 0 ? own : [{ ...site, name: undefined }]).map((w) => ({
        ...(w.name === undefined ? {} : { name: w.name }),
        ...{ cores: w.cores_available, ram: w.ram_available, disk: w.disk_available },
        ...(w.components === undefined
          ? {}
          : {
              devices: Object.fromEntries(
                Object.entries(w.components).map(([key, { capacity, allocated, available }]) => [
                  key,
                  available ?? Math.max(0, capacity - allocated),
                ]),
              ),
            }),
      })),
    };
  });
}

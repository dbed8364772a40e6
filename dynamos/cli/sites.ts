import type { Command } from "commander";
import type { SiteRoom } from "../../infra/fabric/site-room.js";
import { productionSites, sitesAsOf } from "../../infra/fabric/sites.js";
import { problemLine } from "../../infra/problem.js";
import { siteData } from "../site-data.js";
import { projectName } from "../stack-folder.js";
import { columns } from "./columns.js";
import type { CommandContext } from "./context.js";

interface SitesOptions {
  readonly json?: boolean;
}

/** `dynamos-fabric sites [--json]`: FABRIC's sites with what is free, as the stack's target sees them. */
export function registerSites(program: Command, context: () => CommandContext): void {
  program
    .command("sites")
    .description("list FABRIC's sites and what is free there")
    .option("--json", "as JSON")
    .action(async ({ json }: SitesOptions) => {
      const { project, stack, state, spec } = context();
      const target = spec.target === "local" ? "local" : "fabric";
      const { sites, notes } = await siteData(target, { state, project: projectName(project), stack });
      if (json === true)
        return void process.stdout.write(`${JSON.stringify({ target, sites, notes }, null, 2)}\n`);
      for (const note of notes) process.stderr.write(`${problemLine(note)}\n`);
      process.stdout.write(
        sites.length === 0
          ? `${productionSites.join(" ")}\n(production sites as of ${sitesAsOf})\n`
          : sitesTable(sites),
      );
    });
}

/** A line a site: what is free in all, and the largest node that fits. */
export function sitesTable(sites: readonly SiteRoom[]): string {
  const rows = sites.map(({ site, maintenance, workers }) => {
    const sum = (unit: "cores" | "ram" | "disk"): number => workers.reduce((n, w) => n + w[unit], 0);
    const most = Math.max(0, ...workers.map((w) => w.cores));
    return [
      site,
      String(sum("cores")),
      String(sum("ram")),
      String(sum("disk")),
      String(workers.length),
      maintenance === true ? "in maintenance" : `${most} cores`,
    ];
  });
  return columns([["site", "cores", "RAM GB", "disk GB", "workers", "largest node"], ...rows]);
}

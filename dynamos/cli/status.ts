import { relative } from "node:path";
import type { Command } from "commander";
import { leaseLine } from "../../infra/fabric/lease.js";
import type { ServiceStatus } from "../../infra/local/service.js";
import { type Leased, nearEnds } from "../lease-warning.js";
import { AGENT_PREFIX } from "../placement.js";
import { columns } from "./columns.js";
import type { CommandContext } from "./context.js";
import { type ListedJob, type SliceView, type StackSnapshot, stackSnapshot } from "./stack-snapshot.js";

interface StatusOptions {
  readonly json?: boolean;
}

/** `dynamos-fabric status [--json]`. Exit code 1 when something that should run is down. */
export function registerStatus(program: Command, context: () => CommandContext): void {
  program
    .command("status")
    .description("show slice and lease, hosts, services, agents, jobs and the gateway's URL")
    .option("--json", "as JSON")
    .action(async ({ json }: StatusOptions) => {
      const { project, stack, state } = context();
      const snapshot = await stackSnapshot({ project, stack, state });
      process.stdout.write(
        json === true
          ? `${JSON.stringify({ ...snapshot, warnings: leaseWarnings(snapshot, Date.now()) }, null, 2)}\n`
          : statusText(snapshot, Date.now(), process.cwd()),
      );
      if (downIn(snapshot).length > 0) process.exitCode = 1;
    });
}

/** Refusals shown: the last ones. */
const refusalsShown = 3;

/** What a person reads. Pure. */
export function statusText(snapshot: StackSnapshot, now: number, from: string): string {
  const { stack, services, slices, gatewayUrl } = snapshot;
  if (services.length === 0 && slices.length === 0)
    return `stack ${stack} is not up; dynamos-fabric up makes it\n`;
  const down = downIn(snapshot);
  const parts = [
    `stack ${stack}${gatewayUrl === undefined ? "" : ` · gateway ${gatewayUrl}`}`,
    ...slices.map((s) => sliceLine(s, now)),
    ...leaseWarnings(snapshot, now),
    ...(down.length === 0
      ? []
      : [
          `${down.length} of ${services.length} services are down: ${down.join(", ")}; dynamos-fabric up starts them`,
        ]),
  ];
  return [
    `${parts.join("\n")}\n`,
    services.length === 0 ? hostsTable(slices) : servicesTable(snapshot, from),
    ...problemLines(services),
    `${[...workLines(snapshot)].join("\n")}\n`,
  ]
    .filter((text) => text.trim() !== "")
    .join("\n");
}

/** Services that should run and do not. */
function downIn({ services, supervisor }: StackSnapshot): string[] {
  return services.filter((s) => s.state !== "ready" || !supervisor).map((s) => s.name);
}

function sliceLine({ name, state, leaseEnd }: SliceView, now: number): string {
  if (leaseEnd === undefined) return `slice ${name} · ${state}`;
  return `slice ${name} · ${state} · ${leaseLine(new Date(leaseEnd), new Date(now))}`;
}

/** From 48 hours before a lease's end. */
function leaseWarnings({ slices }: StackSnapshot, now: number): string[] {
  return nearEnds(slices.map(leased), new Date(now));
}

function leased({ name, leaseEnd }: SliceView): Leased {
  return leaseEnd === undefined ? { name } : { name, leaseEnd: new Date(leaseEnd) };
}

function servicesTable({ services, slices, agentsOnline }: StackSnapshot, from: string): string {
  const rows = services.map((service) => {
    const host = slices[0]?.hosts[service.node];
    const agent = service.name.startsWith(AGENT_PREFIX) ? service.name.slice(AGENT_PREFIX.length) : undefined;
    const online =
      agent === undefined || agentsOnline === undefined
        ? ""
        : agentsOnline.some((name) => name.toLowerCase() === agent)
          ? "online"
          : "offline";
    const ports = Object.entries(service.ports).map(([name, port]) => `${name} ${port}`);
    return [
      service.node,
      host?.site ?? "",
      host?.address ?? "",
      service.name,
      `${service.state}${online === "" ? "" : `, ${online}`}`,
      ports.join(", "),
      relative(from, service.log),
    ];
  });
  return columns([
    ["node", "site", "address", "service", "state", "ports", "log"],
    ...rows.sort((a, b) => ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1)),
  ]);
}

function hostsTable(slices: readonly SliceView[]): string {
  const rows = slices.flatMap((slice) =>
    Object.entries(slice.hosts).map(([name, host]) => [
      name,
      host.site ?? "",
      host.address ?? "",
      host.managementIp ?? "",
    ]),
  );
  return columns([["node", "site", "address", "management address"], ...rows]);
}

function problemLines(services: readonly ServiceStatus[]): string[] {
  const unwell = services.flatMap(({ name, problem }) =>
    problem === undefined
      ? []
      : [
          `${name}  ${problem.code}  ${problem.message}${problem.remedy === undefined ? "" : `; ${problem.remedy}`}\n`,
        ],
  );
  return unwell.length === 0 ? [] : [unwell.join("")];
}

function* workLines({ services, jobs, silent }: StackSnapshot): Generator<string> {
  if (services.length === 0) return;
  if (jobs === undefined) {
    if (silent !== undefined) yield `jobs: not known, ${silent}`;
    return;
  }
  const running = jobs.filter((j) => j.status === "running");
  yield running.length === 0 ? "no job is running" : "jobs";
  for (const job of running)
    yield `  ${jobText(job)}  round ${job.round}${job.rounds === undefined ? "" : `/${job.rounds}`}`;
  const refused = jobs.filter((j) => j.end?.status === "refused").slice(-refusalsShown);
  if (refused.length > 0) yield "last refusals";
  for (const job of refused)
    yield `  ${jobText(job)}  after ${job.end?.rounds ?? 0} rounds: ${job.end?.reason ?? "no reason given"}`;
}

const jobText = ({ jobId, requestType, user }: ListedJob): string =>
  [jobId.slice(0, 8), requestType, user].filter((t) => t !== undefined).join("  ");

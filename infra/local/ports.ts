import { randomInt } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { InfraError } from "../problem.js";
import { nameOfProcess } from "./os-process.js";

/** Whether nobody listens on this loopback port. Throws LOC-PORT-FORBIDDEN where the system does not let us have it at all. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await bind(port)) !== undefined;
}

/**
 * A free loopback port that is none of those, below the ports that the system gives to outgoing connections: one of those could take a service's port
 * while that is started anew. Throws LOC-PORT-NONE when none is found in 50 tries.
 */
export async function freePort(taken: ReadonlySet<number>): Promise<number> {
  const most = Math.max(firstOutgoing() - 1, LEAST_PORT + 1_000);
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = randomInt(LEAST_PORT, most);
    if (!taken.has(port) && (await isPortFree(port))) return port;
  }
  throw new InfraError({
    code: "LOC-PORT-NONE",
    message: "no free port on 127.0.0.1",
    remedy: "end programs that hold ports",
  });
}

/** Above those that well-known programs listen on. */
const LEAST_PORT = 10_000;

/** The least port of outgoing connections. Source: ip(7), ip_local_port_range; 49,152 is IANA's, which other systems take. */
function firstOutgoing(): number {
  const least = Number(read("/proc/sys/net/ipv4/ip_local_port_range").split(/\s+/)[0]);
  return least > 0 ? least : 49_152;
}

/** Binds and lets go; the port, or undefined when it is in use. */
function bind(port: number): Promise<number | undefined> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") return done(undefined);
      failed(
        new InfraError(
          {
            code: "LOC-PORT-FORBIDDEN",
            message: `port ${port} cannot be used on 127.0.0.1 (${error.code ?? error.message})`,
            remedy: "choose a port above 1023",
          },
          { cause: error },
        ),
      );
    });
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}

/** Who listens on this port, e.g. `nginx (pid 812)`; undefined where the system does not tell us. */
export function holderOfPort(port: number): string | undefined {
  const inodes = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listeningInodes(table, port)),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of list("/proc").filter((name) => /^\d+$/.test(name))) {
    const holds = list(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
    if (holds) return `${nameOfProcess(Number(pid))} (pid ${pid})`;
  }
  return undefined;
}

/** Inodes of the sockets in state LISTEN (0A) on this port. Source: proc(5), /proc/net/tcp. */
function listeningInodes(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return read(table)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .flatMap((fields) =>
      fields[1]?.endsWith(`:${hex}`) && fields[3] === "0A" && fields[9] !== undefined ? [fields[9]] : [],
    );
}

// What /proc does not show us (other users' processes, other systems) makes the message poorer, nothing else.

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/**
 * A TCP port behind which an SSH server starts for each connection (`sshd -i`): a node that nobody is logged in to costs no process, and when the
 * emulator is killed its ports close with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";

export interface Door {
  readonly port: number;
  /** Closes the port and ends the servers behind it. */
  close(): Promise<void>;
}

/** The program that serves a connection on its standard input and output. */
export interface Doorkeeper {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** What it says goes here. */
  readonly log: string;
}

/**
 * Opens the first of the ports that can be had at this address; 0 is any.
 *
 * @throws the system's error when none can
 */
export async function openDoor(
  address: string,
  ports: readonly number[],
  keeper: () => Doorkeeper,
): Promise<Door> {
  const serving = new Set<ChildProcess>();
  const server = createServer({ pauseOnConnect: true }, (socket) => serve(socket, keeper(), serving));
  const port = await listenOnFirst(server, address, ports);
  return {
    port,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      await Promise.all(
        [...serving].map(
          (child) =>
            new Promise<void>((done) => {
              child.once("close", () => done());
              child.kill("SIGKILL");
            }),
        ),
      );
      await closed;
    },
  };
}

function serve(socket: Socket, keeper: Doorkeeper, serving: Set<ChildProcess>): void {
  socket.on("error", () => undefined); // the client went: the server behind sees it too
  const log = openSync(keeper.log, "a", 0o600);
  try {
    const [program, ...args] = keeper.command;
    const child = spawn(program, args, { env: keeper.env, stdio: [socket, socket, log] });
    serving.add(child);
    child.once("error", (error) => {
      serving.delete(child);
      process.stderr.write(`${program} could not be started: ${error.message}\n`);
    });
    child.once("close", () => serving.delete(child));
  } finally {
    closeSync(log);
    // Our end of the connection; the server has its own.
    socket.destroy();
  }
}

async function listenOnFirst(server: Server, host: string, ports: readonly number[]): Promise<number> {
  for (const [i, port] of ports.entries()) {
    try {
      await new Promise<void>((done, failed) => {
        server.once("error", failed);
        server.listen({ host, port, exclusive: true }, () => {
          server.off("error", failed);
          done();
        });
      });
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no address");
      return address.port;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (i === ports.length - 1 || (code !== "EACCES" && code !== "EADDRINUSE")) throw error;
    }
  }
  throw new Error("no port was named");
}

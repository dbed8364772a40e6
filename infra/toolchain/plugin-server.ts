import {
  type Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";

/** A handler of a gRPC method as a plain function; what it throws is told to the engine by its message. */
export function unary<Request, Response>(handle: (request: Request) => Response | Promise<Response>) {
  return async (
    call: ServerUnaryCall<Request, Response>,
    callback: sendUnaryData<Response>,
  ): Promise<void> => {
    try {
      callback(null, await handle(call.request));
    } catch (error) {
      callback({ code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) });
    }
  };
}

/** Largest message taken, in bytes: as the engine's own. */
export const largestMessage = 400 * 1024 * 1024;

/** Listens on a free port and prints it, which is what the engine waits for. */
export function serve(server: Server, name: string): void {
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) {
      process.stderr.write(`${name}: ${error.message}\n`);
      process.exit(1);
    }
    process.stdout.write(`${port}\n`);
  });
}

import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";

/** Methods of a gRPC service as plain functions; what one throws is told to the engine by its message. */
// biome-ignore lint/suspicious/noExplicitAny: each method has its own request
type Methods = Readonly<Record<string, (request: any) => unknown>>;

function unary(handle: Methods[string]) {
  return async (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): Promise<void> => {
    try {
      callback(null, await handle(call.request));
    } catch (error) {
      callback({ code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) });
    }
  };
}

/** Largest message taken, in bytes: as the engine's own. */
const largestMessage = 400 * 1024 * 1024;

/** Serves the methods on a free port and prints it, which is what the engine waits for. */
export function serve(service: ServiceDefinition, methods: Methods, name: string): void {
  const server = new Server({ "grpc.max_receive_message_length": largestMessage });
  const handlers = Object.entries(methods).map(([method, handle]) => [method, unary(handle)]);
  server.addService(service, Object.fromEntries(handlers));
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) {
      process.stderr.write(`${name}: ${error.message}\n`);
      process.exit(1);
    }
    process.stdout.write(`${port}\n`);
  });
}

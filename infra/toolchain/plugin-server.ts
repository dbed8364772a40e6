import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";

/** Methods of a gRPC service as plain functions; what one throws is told to the engine by its message. */
// biome-ignore lint/suspicious/noExplicitAny: each method has its own request
type Methods = Readonly<Record<string, (request: any) => unknown>>;

/** What a method throws for a resource that is there and not well: the engine keeps what it is told of it. Source: `google.rpc.Status`, as the SDK's own server sends it. */
export class PartlyDone extends Error {
  readonly metadata = new Metadata();

  constructor(message: string, detail: ErrorResourceInitFailed) {
    super(message);
    const packed = new Any();
    packed.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
    const answer = new Status().setCode(status.UNKNOWN).setMessage(message).setDetailsList([packed]);
    this.metadata.add("grpc-status-details-bin", Buffer.from(answer.serializeBinary()));
  }
}

function unary(handle: Methods[string]) {
  return async (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): Promise<void> => {
    try {
      callback(null, await handle(call.request));
    } catch (error) {
      const metadata = error instanceof PartlyDone ? { metadata: error.metadata } : {};
      callback({
        code: status.UNKNOWN,
        details: error instanceof Error ? error.message : String(error),
        ...metadata,
      });
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

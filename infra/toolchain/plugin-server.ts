import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { stripUndefined } from "../dynamic.js";
import { allLogged } from "./plugin-log.js";
import { masker, type Properties } from "./plugin-values.js";

/** Methods of a gRPC service as plain functions; what one throws is told to the engine by its message. */
// biome-ignore lint/suspicious/noExplicitAny: each method has its own request
type Methods = Readonly<Record<string, (request: any) => unknown>>;

/** Values as the engine sends them, with the marks of secrets and of what is not known. */
export const read = (values: Struct | undefined): Properties => (values?.toJavaScript() ?? {}) as Properties;
export const struct = (values: Properties): Struct => Struct.fromJavaScript(stripUndefined(values) as never);

/** @param urn `urn:pulumi:stack::project::parent$command:remote:Command::name` */
export const typeOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

/** What a method throws for a resource that is there and not well: the engine keeps its state. Source: `google.rpc.Status`, as the SDK's own server sends it. */
export class PartlyDone extends Error {
  readonly metadata = new Metadata();

  constructor(id: string, reason: string, state: Properties, inputs: Properties) {
    super(reason);
    const detail = new ErrorResourceInitFailed().setId(id).setReasonsList([reason]);
    const packed = new Any();
    packed.pack(
      detail.setProperties(struct(state)).setInputs(struct(inputs)).serializeBinary(),
      "pulumirpc.ErrorResourceInitFailed",
    );
    const answer = new Status().setCode(status.UNKNOWN).setMessage(reason).setDetailsList([packed]);
    this.metadata.add("grpc-status-details-bin", Buffer.from(answer.serializeBinary()));
  }
}

/** Works on values in clear; the secrets among them stay out of all that is said, and the engine has heard it all when this ends. */
export async function masked<T>(
  values: Properties,
  work: (mask: (text: string) => string) => Promise<T>,
): Promise<T> {
  const mask = masker(values);
  try {
    return await work(mask);
  } catch (error) {
    if (error instanceof PartlyDone) throw error;
    throw new Error(mask(error instanceof Error ? error.message : String(error)));
  } finally {
    await allLogged();
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

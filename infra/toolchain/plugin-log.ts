import { credentials } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";

const engine = new EngineClient(process.argv.at(-1) ?? "", credentials.createInsecure());
let logged: Promise<void> = Promise.resolve();

/** Lines reach the engine in their order; those of a resource are shown beside it while it is worked on, and not kept. */
export function log(text: string, urn = "", isWarning = false): void {
  const severity = isWarning ? LogSeverity.WARNING : LogSeverity.INFO;
  const isPassing = urn !== "" && !isWarning;
  const request = new LogRequest().setSeverity(severity).setMessage(text).setUrn(urn).setEphemeral(isPassing);
  logged = logged.then(() => new Promise((settle) => void engine.log(request, () => settle())));
}

/** When the engine has all lines. */
export const allLogged = (): Promise<void> => logged;

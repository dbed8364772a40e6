import { randomBytes } from "node:crypto";
import { credentials, Server } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { endWithParent } from "../end-with-parent.js";
import { largestMessage, serve, unary } from "../plugin-server.js";
import { problem, type Surroundings } from "./connection.js";
import { type Kind, kinds } from "./resources.js";
import { isSame, masker, type Properties, revealed, secret, unknownValue } from "./values.js";

// Stands in for `pulumi-resource-command` 1.2.1: the service ResourceProvider of pulumi/provider.proto. What it should do, and where
// that is written, is in test/integration/toolchain/command-cases.ts.

const address = process.argv.slice(2).findLast((arg) => !arg.startsWith("-")) ?? "";
const engine = new EngineClient(address, credentials.createInsecure());
const ending = new AbortController();
let logged: Promise<void> = Promise.resolve();

/** Lines reach the engine in their order. @param passing shown beside the resource while it is worked on, not kept */
function log(severity: LogSeverity, text: string, urn = "", passing = false): void {
  const request = new LogRequest().setSeverity(severity).setMessage(text).setUrn(urn).setEphemeral(passing);
  // An engine that is gone reads no lines; this process ends with it.
  logged = logged.then(() => new Promise((settle) => void engine.log(request, () => settle())));
}

const read = (values: Struct | undefined): Properties => (values?.toJavaScript() ?? {}) as Properties;
const struct = (values: Properties): Struct =>
  Struct.fromJavaScript(values as ReturnType<Struct["toJavaScript"]>);

/** `urn:pulumi:stack::project::parent$command:remote:Command::name` */
function kindOf(urn: string): Kind {
  const type = urn.split("::")[2]?.split("$").at(-1) ?? "";
  const kind = kinds[type];
  if (kind !== undefined) return kind;
  throw problem(
    "CMD-NOT-BUILT",
    `the stand-in for the command plugin has no ${type}`,
    "install the official plugin",
  );
}

/** Works on a resource in clear; its secrets stay out of all that is said. */
async function work<Result>(
  request: { getUrn(): string; getTimeout(): number },
  properties: readonly Properties[],
  run: (kind: Kind, around: Surroundings, ...inClear: Properties[]) => Promise<Result>,
): Promise<Result> {
  const urn = request.getUrn();
  const mask = masker({ ...properties });
  const timeout = request.getTimeout() > 0 ? [AbortSignal.timeout(request.getTimeout() * 1_000)] : [];
  const around: Surroundings = {
    signal: AbortSignal.any([ending.signal, ...timeout]),
    onLine: (line) => log(LogSeverity.INFO, mask(line), urn, true),
    onWarning: (text) => log(LogSeverity.WARNING, mask(text), urn),
  };
  try {
    return await run(kindOf(urn), around, ...properties.map(revealed));
  } catch (error) {
    throw new Error(mask(error instanceof Error ? error.message : String(error)));
  } finally {
    await logged;
  }
}

function configure(): proto.ConfigureResponse {
  log(
    LogSeverity.INFO,
    "our stand-in runs the commands: the official command plugin 1.2.1 is not to be had here",
  );
  return new proto.ConfigureResponse().setAcceptsecrets(true);
}

function check(request: proto.CheckRequest): proto.CheckResponse {
  const news = read(request.getNews());
  const { connection, ...others } = revealed(news);
  const { success, error } = kindOf(request.getUrn()).inputs.safeParse({ connection, ...others });
  // A preview's values may be unknown: what holds one is looked at in the update.
  const whole = !success && !JSON.stringify([connection, others]).includes(unknownValue);
  const failures = (whole ? (error?.issues ?? []) : []).map((issue) =>
    new proto.CheckFailure().setProperty(issue.path.join(".")).setReason(issue.message),
  );
  return new proto.CheckResponse()
    .setInputs(struct(connection === undefined ? news : { ...news, connection: secret(connection) }))
    .setFailuresList(failures);
}

function diff(request: proto.DiffRequest): proto.DiffResponse {
  const [olds, news] = [read(request.getOldInputs()), read(request.getNews())];
  const changed = Object.keys({ ...olds, ...news }).filter((key) => !isSame(olds[key], news[key]));
  return new proto.DiffResponse()
    .setChanges(changed.length === 0 ? 1 : 2) // DIFF_NONE, DIFF_SOME
    .setDiffsList(changed)
    .setReplacesList(changed.filter((key) => key === "triggers"));
}

async function create(request: proto.CreateRequest): Promise<proto.CreateResponse> {
  const inputs = read(request.getProperties());
  const made = await work(request, [inputs], (kind, around, inClear) => kind.create(inClear ?? {}, around));
  const id = `${request.getUrn().split("::").at(-1)}${randomBytes(4).toString("hex")}`;
  return new proto.CreateResponse().setId(id).setProperties(struct({ ...inputs, ...made }));
}

async function update(request: proto.UpdateRequest): Promise<proto.UpdateResponse> {
  const [olds, news] = [read(request.getOlds()), read(request.getNews())];
  const made = await work(request, [news, olds], (kind, around, inputs = {}, old = {}) =>
    kind.update(inputs, old, around),
  );
  return new proto.UpdateResponse().setProperties(struct({ ...news, ...made }));
}

async function remove(request: proto.DeleteRequest): Promise<unknown> {
  await work(request, [read(request.getProperties())], (kind, around, old = {}) => kind.delete(old, around));
  return empty();
}

/** A command leaves nothing that could be read back: what is known is the answer. */
function readBack(request: proto.ReadRequest): proto.ReadResponse {
  const response = new proto.ReadResponse().setId(request.getId()).setInputs(request.getInputs());
  return response.setProperties(request.getProperties());
}

const empty = (): unknown => ResourceProviderService.cancel.requestDeserialize(Buffer.alloc(0));

endWithParent();
const server = new Server({ "grpc.max_receive_message_length": largestMessage });
server.addService(ResourceProviderService, {
  getPluginInfo: unary(() => new PluginInfo().setVersion("1.2.1")),
  checkConfig: unary((request: proto.CheckRequest) => new proto.CheckResponse().setInputs(request.getNews())),
  diffConfig: unary(() => new proto.DiffResponse()),
  configure: unary(configure),
  check: unary(check),
  diff: unary(diff),
  create: unary(create),
  update: unary(update),
  delete: unary(remove),
  read: unary(readBack),
  cancel: unary(() => {
    ending.abort();
    return empty();
  }),
});
serve(server, "command plugin");

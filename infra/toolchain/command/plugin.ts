import { randomBytes } from "node:crypto";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { z } from "zod";
import { hasUnknown } from "../../dynamic.js";
import { endWithParent } from "../end-with-parent.js";
import { log } from "../plugin-log.js";
import { masked, read, serve, struct, typeOf } from "../plugin-server.js";
import { isSame, type Properties, revealed } from "../plugin-values.js";
import { commandSchema, type Operation, run } from "./command.js";
import { type Context, problem } from "./connection.js";
import { copy, copySchema } from "./copy.js";

// Stands in for `pulumi-resource-command` 1.2.1. What it should do, and where that is written: test/integration/toolchain/command-cases.ts.

const missing = "the official command plugin 1.2.1 is not to be had here";
const ending = new AbortController();

const schemas: Readonly<Record<string, z.ZodType>> = {
  "command:remote:Command": commandSchema,
  "command:remote:CopyToRemote": copySchema,
};

type Request = Pick<proto.CreateRequest, "getUrn" | "getTimeout">;
/** Works on a resource in clear; its secrets stay out of all that is said. @returns its state */
async function work(operation: Operation, request: Request, given: Properties, state: Properties) {
  const [urn, inputs, old] = [request.getUrn(), revealed(given), revealed(state)];
  const timeout = request.getTimeout() > 0 ? [AbortSignal.timeout(request.getTimeout() * 1_000)] : [];
  return await masked({ given, state }, async (mask) => {
    const context: Context = {
      signal: AbortSignal.any([ending.signal, ...timeout]),
      onLine: (line, isWarning) => log(mask(line), urn, isWarning),
    };
    if (typeOf(urn) === "command:remote:Command")
      return struct({ ...given, ...(await run(operation, inputs, old, context)) });
    const isThere = isSame(given.source, state.source) && inputs.remotePath === old.remotePath;
    if (operation !== "delete" && !isThere) await copy(inputs, context);
    return struct(given);
  });
}

function check(request: proto.CheckRequest): proto.CheckResponse {
  const inputs = revealed(read(request.getNews()));
  const type = typeOf(request.getUrn());
  if (schemas[type] === undefined)
    throw problem("CMD-NOT-BUILT", `the stand-in for the command plugin has no ${type}`, missing);
  // A preview's values may be unknown: what holds one is looked at in the update.
  const issues = (!hasUnknown(inputs) && schemas[type].safeParse(inputs).error?.issues) || [];
  const failure = ({ path, message }: { path: PropertyKey[]; message: string }) =>
    new proto.CheckFailure().setProperty(path.join(".")).setReason(message);
  return new proto.CheckResponse().setInputs(request.getNews()).setFailuresList(issues.map(failure));
}

function diff(request: proto.DiffRequest): proto.DiffResponse {
  const [olds, news] = [read(request.getOldInputs()), read(request.getNews())];
  const changed = Object.keys({ ...olds, ...news }).filter((key) => !isSame(olds[key], news[key]));
  const replaced = changed.filter((key) => key === "triggers");
  const response = new proto.DiffResponse().setChanges(changed[0] ? 2 : 1); // DIFF_SOME, DIFF_NONE
  return response.setDiffsList(changed).setReplacesList(replaced);
}

endWithParent();
serve(
  ResourceProviderService,
  {
    getPluginInfo: () => new PluginInfo().setVersion("1.2.1"),
    configure: () => {
      log(`our stand-in runs the commands: ${missing}`);
      return new proto.ConfigureResponse().setAcceptsecrets(true);
    },
    check,
    diff,
    create: async (request: proto.CreateRequest) =>
      new proto.CreateResponse()
        .setId(`${request.getUrn().split("::").at(-1)}${randomBytes(4).toString("hex")}`)
        .setProperties(await work("create", request, read(request.getProperties()), {})),
    update: async (request: proto.UpdateRequest) =>
      new proto.UpdateResponse().setProperties(
        await work("update", request, read(request.getNews()), read(request.getOlds())),
      ),
    delete: async (request: proto.DeleteRequest) => {
      const state = read(request.getProperties());
      await work("delete", request, state, state);
      return new Empty();
    },
    // A command leaves nothing that could be read back: what is known is the answer.
    read: (request: proto.ReadRequest) =>
      new proto.ReadResponse()
        .setId(request.getId())
        .setInputs(request.getInputs())
        .setProperties(request.getProperties()),
    cancel: () => {
      ending.abort();
      return new Empty();
    },
  },
  "command plugin",
);

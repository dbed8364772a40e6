import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { hasUnknown, stripUndefined } from "../../dynamic.js";
import { InfraError } from "../../problem.js";
import { endWithParent } from "../end-with-parent.js";
import { allLogged, log } from "../plugin-log.js";
import { PartlyDone, serve } from "../plugin-server.js";
import { masker, type Properties, revealed } from "../plugin-values.js";
import { Refusal } from "./api.js";
import { apply, awaitReady, find, isManagedBy, managerOf, remove, told, type Work } from "./cluster.js";
import { type Config, type Connection, checkedConfig, configDifference, connect } from "./config.js";
import { content, type Difference, difference, immutableFields, pruned, type Trial } from "./diff.js";
import { at, type Kind, kinds, type Live, titleOf } from "./kinds.js";
import { isUnderstood } from "./readiness.js";
import { completed, idOf, keptIn, marked, nameOf, stateOf } from "./state.js";

// Stands in for `pulumi-resource-kubernetes` 4. What it should do, and where that is written: test/integration/toolchain/kubernetes-cases.ts.

const missing = "the official kubernetes plugin is not to be had here";
const ending = new AbortController();
let connection: Connection;

const read = (values: Struct | undefined): Properties => (values?.toJavaScript() ?? {}) as Properties;
const struct = (values: Properties): Struct => Struct.fromJavaScript(stripUndefined(values) as never);
const problem = (code: string, message: string, remedy: string): InfraError =>
  new InfraError({ code, message, remedy });

/** @param urn `urn:pulumi:stack::project::parent$kubernetes:apps/v1:Deployment::name` */
function kindOf(urn: string): Kind {
  const type = urn.split("::")[2]?.split("$").at(-1) ?? "";
  const kind = kinds.get(type);
  if (kind === undefined)
    throw problem("K8S-NOT-BUILT", `the stand-in for the kubernetes plugin has no ${type}`, missing);
  return kind;
}

const defaultSeconds = 600;
function workOn(urn: string, inputs: Properties, seconds: number, mask: (text: string) => string): Work {
  if (connection.api === undefined) throw connection.problem;
  const said = Number(annotationOf(inputs, "timeoutSeconds") ?? Number.NaN);
  return {
    api: connection.api,
    kind: kindOf(urn),
    signal: ending.signal,
    onLine: (text, isWarning) => log(mask(text), urn, isWarning),
    timeoutSeconds: seconds > 0 ? seconds : Number.isFinite(said) ? said : defaultSeconds,
  };
}
const annotationOf = (inputs: Properties, name: string): string | undefined =>
  at<string>(inputs, "metadata", "annotations", `pulumi.com/${name}`);

/** What a method says is without secrets. */
async function masked<T>(
  values: Properties,
  doIt: (mask: (text: string) => string) => Promise<T>,
): Promise<T> {
  const mask = masker(values);
  try {
    return await doIt(mask);
  } catch (error) {
    if (error instanceof PartlyDone) throw error;
    throw new Error(mask(error instanceof Error ? error.message : String(error)));
  } finally {
    await allLogged();
  }
}

function check(request: proto.CheckRequest): proto.CheckResponse {
  const urn = request.getUrn();
  const kind = kindOf(urn);
  const naming = {
    urn,
    seed: request.getRandomseed_asU8(),
    proposed: request.getAutonaming()?.getProposedName(),
    namespace: connection.namespace,
  };
  const inputs = completed(kind, read(request.getNews()), read(request.getOlds()), naming);
  const waitFor = annotationOf(revealed(inputs), "waitFor");
  const failures = [];
  if (at(inputs, "metadata", "generateName") !== undefined)
    failures.push(
      new proto.CheckFailure().setProperty("metadata.generateName").setReason("not with server-side apply"),
    );
  if (waitFor !== undefined && !isUnderstood(waitFor))
    failures.push(
      new proto.CheckFailure().setReason(
        `K8S-NOT-BUILT  the stand-in does not understand waitFor ${waitFor}; ${missing}`,
      ),
    );
  return new proto.CheckResponse().setInputs(struct(inputs)).setFailuresList(failures);
}

async function diff(request: proto.DiffRequest): Promise<proto.DiffResponse> {
  const news = read(request.getNews());
  return await masked({ news, olds: read(request.getOlds()) }, async (mask) => {
    const [wanted, old] = [revealed(news), keptIn(read(request.getOlds()))];
    const kind = kindOf(request.getUrn());
    const { config } = connection;
    const isMutable = kind.kind === "Secret" ? config.enableSecretMutable : config.enableConfigMapMutable;
    const rules = { isMutable, ignored: request.getIgnorechangesList() };
    const before = Object.keys(old.inputs).length > 0 ? old.inputs : revealed(read(request.getOldInputs()));
    let found = difference(kind, before, wanted, rules);
    if (found.replaces.length === 0 && connection.api !== undefined && !hasUnknown(wanted)) {
      const work = workOn(request.getUrn(), wanted, 0, mask);
      found = await tried(
        work,
        wanted as unknown as Live,
        old.manager ?? managerOf(request.getUrn()),
        (trial) => difference(kind, before, wanted, rules, trial),
        found,
      );
    }
    return answered(found, wanted, old.live);
  });
}

/** The difference as the server sees it, by a dry run of what an update would send. */
async function tried(
  work: Work,
  wanted: Live,
  manager: string,
  seen: (trial: Trial) => Difference,
  unseen: Difference,
): Promise<Difference> {
  const live = await find(work, wanted.metadata);
  if (live === undefined) {
    // One that ends by itself was there.
    if (at(wanted, "spec", "ttlSecondsAfterFinished") !== undefined) return unseen;
    work.onLine(`${titleOf(work.kind.kind, wanted.metadata)} is not there any more: it is made again`, true);
    return { changes: new Map([["metadata", "update"]]), replaces: [] };
  }
  try {
    const { object } = await apply(work, wanted, manager, { isForced: true, isTrial: true });
    return seen({ live, applied: object });
  } catch (error) {
    const immutable =
      error instanceof Refusal && error.status === 422 ? immutableFields(error.causes) : undefined;
    if (immutable !== undefined) return seen({ live, immutable });
    if (error instanceof Refusal && error.status === 403) return unseen;
    throw told(error, titleOf(work.kind.kind, wanted.metadata));
  }
}

function answered({ changes, replaces }: Difference, wanted: Properties, live: Live): proto.DiffResponse {
  const response = new proto.DiffResponse().setChanges(changes.size > 0 ? 2 : 1).setHasdetaileddiff(true);
  const kindsOf = proto.PropertyDiff.Kind;
  const words = { add: kindsOf.ADD, delete: kindsOf.DELETE, update: kindsOf.UPDATE };
  for (const [path, way] of changes) {
    const change = new proto.PropertyDiff().setKind((words[way] + (replaces.includes(path) ? 1 : 0)) as 0);
    response.getDetaileddiffMap().set(path, change);
  }
  const isSame = ["name", "namespace"].every(
    (key) => (at(wanted, "metadata", key) ?? "default") === (at(live, "metadata", key) ?? "default"),
  );
  const isOwnName = annotationOf(wanted, "autonamed") !== "true";
  return response
    .setReplacesList([...replaces])
    .setDeletebeforereplace(replaces.length > 0 && isSame && isOwnName);
}

/** Makes or changes an object, and waits until it is ready. @returns undefined where a preview cannot tell */
async function put(
  request: proto.CreateRequest | proto.UpdateRequest,
  given: Properties,
  old?: Properties,
): Promise<{ readonly id: string; readonly state: Properties } | undefined> {
  return await masked({ given, old }, async (mask) => {
    const wanted = revealed(given);
    const isTrial = request.getPreview();
    if (isTrial && (hasUnknown(wanted) || connection.api === undefined)) return undefined;
    const work = workOn(request.getUrn(), wanted, request.getTimeout(), mask);
    const manager =
      annotationOf(wanted, "patchFieldManager") ??
      (old && keptIn(old).manager) ??
      managerOf(request.getUrn());
    const object = wanted as unknown as Live;
    const title = titleOf(work.kind.kind, object.metadata);
    const isFresh = old === undefined;
    const place = isFresh ? await placeOf(work, object, manager, isTrial) : "ours";
    if (isTrial && isFresh && place === "ours") return undefined;
    const isForced =
      isFresh || connection.config.enablePatchForce || annotationOf(wanted, "patchForce") === "true";
    try {
      const { object: live } = await apply(work, object, manager, { isForced, isTrial });
      const state = (now: Live): Properties => stateOf(now, given, manager);
      const id = idOf(live);
      if (isTrial) return { id: "", state: state({ ...content(live), metadata: live.metadata } as Live) };
      const { live: last, problem } = await awaitReady(work, live);
      if (problem === undefined) return { id, state: state(last) };
      throw partly(id, mask(problem.message), state(last), given);
    } catch (error) {
      // Where its namespace is not there yet, or nobody may try in it, a preview ends here.
      const isUntold = error instanceof Refusal && [403, 404].includes(error.status);
      if (isTrial && isUntold) return undefined;
      throw told(error, title);
    }
  });
}

/**
 * What lies under the name of an object to be made: nothing, or what a run of ours made that was killed.
 *
 * @throws InfraError `K8S-EXISTS` for somebody else's
 */
async function placeOf(
  work: Work,
  { metadata }: Live,
  manager: string,
  isTrial: boolean,
): Promise<"free" | "ours"> {
  const there = await find(work, metadata);
  if (there === undefined) return "free";
  if (there.metadata.deletionTimestamp !== undefined && !isTrial) await remove(work, metadata, "Background");
  // In a preview, what is to be replaced is still there.
  else if (
    !isManagedBy(there, isTrial ? /^pulumi-kubernetes/ : new RegExp(`^${manager}$`)) &&
    !connection.config.upsertExistingObjects
  )
    throw problem(
      "K8S-EXISTS",
      `${titleOf(work.kind.kind, metadata)} is there already, and not made by this resource`,
      "delete or `pulumi import` it; a resource of another name needs an alias",
    );
  return "ours";
}

function partly(id: string, reason: string, state: Properties, inputs: Properties): PartlyDone {
  const detail = new proto.ErrorResourceInitFailed().setId(id).setReasonsList([reason]);
  return new PartlyDone(reason, detail.setProperties(struct(state)).setInputs(struct(inputs)));
}

async function refreshed(request: proto.ReadRequest): Promise<proto.ReadResponse> {
  const [state, given] = [read(request.getProperties()), read(request.getInputs())];
  return await masked({ state, given }, async (mask) => {
    const old = keptIn(state);
    const id = request.getId();
    if (connection.api === undefined && connection.config.deleteUnreachable) return new proto.ReadResponse();
    const work = workOn(request.getUrn(), {}, 0, mask);
    const live = await find(work, nameOf(id));
    if (live === undefined) return new proto.ReadResponse();
    const known = revealed(given);
    const inputs = Object.keys(known).length > 0 ? pruned(live, known) : content(live);
    const shown = marked(inputs, given) as Properties;
    const now = stateOf(live, shown, old.manager ?? managerOf(request.getUrn()));
    const { problem } = await awaitReady({ ...work, timeoutSeconds: 0 }, live);
    if (problem !== undefined) throw partly(id, mask(problem.message), now, shown);
    return new proto.ReadResponse().setId(id).setProperties(struct(now)).setInputs(struct(shown));
  });
}

async function deleted(request: proto.DeleteRequest): Promise<Empty> {
  const state = read(request.getProperties());
  return await masked(state, async (mask) => {
    if (connection.api === undefined && connection.config.deleteUnreachable) return new Empty();
    const { inputs } = keptIn(state);
    const policy = annotationOf(inputs, "deletionPropagationPolicy")?.toLowerCase() ?? "";
    const named = { orphan: "Orphan", background: "Background" }[policy] ?? "Foreground";
    await remove(
      workOn(request.getUrn(), inputs, request.getTimeout(), mask),
      nameOf(request.getId()),
      named,
    );
    return new Empty();
  });
}

endWithParent();
serve(
  ResourceProviderService,
  {
    getPluginInfo: () => new PluginInfo().setVersion("4.34.2"),
    checkConfig: (request: proto.CheckRequest) =>
      new proto.CheckResponse()
        .setInputs(request.getNews())
        .setFailuresList(checkedConfig(revealed(read(request.getNews())))),
    diffConfig: (request: proto.DiffRequest) =>
      configDifference(revealed(read(request.getOlds())), revealed(read(request.getNews()))),
    configure: async (request: proto.ConfigureRequest) => {
      log(`our stand-in works on the cluster: ${missing}`);
      connection = await connect(revealed(read(request.getArgs())) as Config);
      if (connection.problem !== undefined) log(connection.problem.message, "", true);
      return new proto.ConfigureResponse()
        .setAcceptsecrets(true)
        .setSupportspreview(true)
        .setSupportsAutonamingConfiguration(true);
    },
    check,
    diff,
    create: async (request: proto.CreateRequest) => {
      const made = await put(request, read(request.getProperties()));
      return new proto.CreateResponse()
        .setId(made?.id ?? "")
        .setProperties(made === undefined ? request.getProperties() : struct(made.state));
    },
    update: async (request: proto.UpdateRequest) => {
      const made = await put(request, read(request.getNews()), read(request.getOlds()));
      return new proto.UpdateResponse().setProperties(
        made === undefined ? request.getNews() : struct(made.state),
      );
    },
    delete: deleted,
    read: refreshed,
    cancel: () => {
      ending.abort();
      return new Empty();
    },
  },
  "kubernetes plugin",
);

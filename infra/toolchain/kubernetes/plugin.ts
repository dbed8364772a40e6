import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Refusal } from "../../cluster/api-server.js";
import { at, type Live } from "../../cluster/object.js";
import { hasUnknown } from "../../dynamic.js";
import { endWithParent } from "../end-with-parent.js";
import { log } from "../plugin-log.js";
import { masked, PartlyDone, read, serve, struct, typeOf } from "../plugin-server.js";
import { type Properties, revealed } from "../plugin-values.js";

import { type Connection, checkedConfig, configDifference, connect } from "./config.js";
import { content, type Difference, difference, immutableFields, pruned, type Trial } from "./diff.js";
import { type Kind, kinds } from "./kinds.js";
import * as cluster from "./objects.js";
import { isUnderstood, readinessOf } from "./readiness.js";
import { completed, idOf, keptIn, marked, nameIn, stateOf } from "./state.js";
import { awaitReady, remove } from "./wait.js";

// Stands in for `pulumi-resource-kubernetes` 4. What it should do, and where that is written: test/integration/toolchain/kubernetes-cases.ts.

const missing = "the official kubernetes plugin is not to be had here";
const ending = new AbortController();
const defaultSeconds = 600;
let connection: Connection;

function kindOf(urn: string): Kind {
  const kind = kinds.get(typeOf(urn));
  const message = `the stand-in for the kubernetes plugin has no ${typeOf(urn)}`;
  if (kind === undefined) throw cluster.problem("K8S-NOT-BUILT", message, missing);
  return kind;
}

const annotationOf = (inputs: object, name: string): string | undefined =>
  at<string>(inputs, "metadata", "annotations", `pulumi.com/${name}`);

type Request = Pick<proto.CreateRequest, "getUrn"> & Partial<Pick<proto.CreateRequest, "getTimeout">>;
type Mask = (text: string) => string;
function workOn(request: Request, name: cluster.Name, inputs: object, mask: Mask): cluster.Work {
  if (connection.api === undefined) throw connection.failure;
  const urn = request.getUrn();
  return {
    api: connection.api,
    kind: kindOf(urn),
    name,
    signal: ending.signal,
    onLine: (text, isWarning) => log(mask(text), urn, isWarning),
    timeoutSeconds:
      request.getTimeout?.() || Number(annotationOf(inputs, "timeoutSeconds")) || defaultSeconds,
  };
}

function check(request: proto.CheckRequest): proto.CheckResponse {
  const urn = request.getUrn();
  const naming = {
    urn,
    seed: request.getRandomseed_asU8(),
    proposed: request.getAutonaming()?.getProposedName(),
    namespace: connection.namespace,
  };
  const inputs = completed(kindOf(urn), read(request.getNews()), read(request.getOlds()), naming);
  const waitFor = annotationOf(revealed(inputs), "waitFor");
  const reasons = [
    at(inputs, "metadata", "generateName") !== undefined && "generateName: not with server-side apply",
    waitFor !== undefined &&
      !isUnderstood(waitFor) &&
      `K8S-NOT-BUILT  waitFor ${waitFor} is not understood; ${missing}`,
  ];
  const failures = reasons.flatMap((reason) => (reason ? [new proto.CheckFailure().setReason(reason)] : []));
  return new proto.CheckResponse().setInputs(struct(inputs)).setFailuresList(failures);
}

async function diff(request: proto.DiffRequest): Promise<proto.DiffResponse> {
  const [news, olds] = [read(request.getNews()), read(request.getOlds())];
  return await masked({ news, olds }, async (mask) => {
    const [wanted, old, urn] = [revealed(news), keptIn(olds), request.getUrn()];
    const kind = kindOf(urn);
    const { enableSecretMutable, enableConfigMapMutable } = connection.config;
    const isMutable = kind.kind === "Secret" ? enableSecretMutable : enableConfigMapMutable;
    const rules = { isMutable, ignored: request.getIgnorechangesList() };
    const seen = (trial?: Trial) => difference(kind, old.inputs, wanted, rules, trial);
    const object = wanted as unknown as Live;
    if (connection.api === undefined || hasUnknown(wanted) || seen().replaces.length > 0)
      return answered(seen(), wanted, old.live);
    const work = workOn(request, object.metadata, wanted, mask);
    return answered(await tried(work, object, old.manager ?? cluster.managerOf(urn), seen), wanted, old.live);
  });
}

/** The difference as the server sees it, by a dry run of what an update would send. */
async function tried(work: cluster.Work, wanted: Live, manager: string, seen: (trial?: Trial) => Difference) {
  const live = await cluster.find(work);
  if (live === undefined) {
    // One that ends by itself was there.
    if (at(wanted, "spec", "ttlSecondsAfterFinished") !== undefined) return seen();
    work.onLine(`${cluster.titleOf(work)} is not there any more: it is made again`, true);
    return { changes: new Map([["metadata", "update" as const]]), replaces: [] };
  }
  // Jobs alone, as the official plugin does: one that failed is not waited for again.
  const isRenewed = wanted.kind === "Job" && annotationOf(wanted, "replaceUnready") === "true";
  if (isRenewed && !readinessOf(live).isReady)
    return { changes: new Map([["status", "update" as const]]), replaces: ["status"] };
  try {
    return seen({ live, applied: await cluster.apply(work, wanted, manager, true, true) });
  } catch (error) {
    const { status, causes = [] } = error as Partial<Refusal>;
    const immutable = status === 422 ? immutableFields(causes) : undefined;
    if (immutable !== undefined) return seen({ live, immutable });
    if (status === 403) return seen();
    throw cluster.told(error, cluster.titleOf(work));
  }
}

function answered(
  { changes, replaces }: Difference,
  wanted: Properties,
  live: Properties,
): proto.DiffResponse {
  const response = new proto.DiffResponse().setChanges(changes.size > 0 ? 2 : 1).setHasdetaileddiff(true);
  const { ADD, DELETE, UPDATE } = proto.PropertyDiff.Kind;
  const words = { add: ADD, delete: DELETE, update: UPDATE };
  for (const [path, way] of changes) {
    const change = new proto.PropertyDiff().setKind((words[way] + (replaces.includes(path) ? 1 : 0)) as 0);
    response.getDetaileddiffMap().set(path, change);
  }
  const part = (of: Properties, key: string): string => at(of, "metadata", key) ?? "default";
  const isSame = ["name", "namespace"].every((key) => part(wanted, key) === part(live, key));
  const isInTheWay = isSame && annotationOf(wanted, "autonamed") !== "true";
  return response.setReplacesList([...replaces]).setDeletebeforereplace(replaces.length > 0 && isInTheWay);
}

interface Put {
  readonly id: string;
  readonly state: Properties;
}
/** Makes or changes an object, and waits until it is ready. @returns undefined where a preview cannot tell */
async function put(request: proto.CreateRequest | proto.UpdateRequest, given: Properties, old?: Properties) {
  return await masked({ given, old }, async (mask): Promise<Put | undefined> => {
    const [wanted, isTrial] = [revealed(given), request.getPreview()];
    if (isTrial && (hasUnknown(wanted) || connection.api === undefined)) return undefined;
    const { metadata } = wanted as unknown as Live;
    const work = workOn(request, metadata, wanted, mask);
    const known = annotationOf(wanted, "patchFieldManager") ?? (old && keptIn(old).manager);
    const manager = known ?? cluster.managerOf(request.getUrn());
    // In a preview, what is to be replaced is still there.
    if (old === undefined && (await isTaken(work, manager, isTrial)) && isTrial) return undefined;
    const isForced = connection.config.enablePatchForce || annotationOf(wanted, "patchForce") === "true";
    try {
      const first = await cluster.apply(work, wanted, manager, isForced || old === undefined, isTrial);
      if (isTrial) return { id: "", state: stateOf({ ...first, status: undefined }, given, manager) };
      const { live, failure } = await awaitReady(work, first);
      const state = stateOf(live, given, manager);
      if (failure !== undefined) throw new PartlyDone(idOf(live), mask(failure.message), state, given);
      return { id: idOf(live), state };
    } catch (error) {
      // Where its namespace is not there yet, or nobody may try in it, a preview ends here.
      if (isTrial && error instanceof Refusal && [403, 404].includes(error.status)) return undefined;
      throw cluster.told(error, cluster.titleOf(work));
    }
  });
}

/** Whether an object of ours is under the name already: one that a killed run made. @throws InfraError `K8S-EXISTS` for somebody else's */
async function isTaken(work: cluster.Work, manager: string, isTrial: boolean): Promise<boolean> {
  const there = await cluster.find(work);
  if (there === undefined) return false;
  const ours = isTrial ? /^pulumi-kubernetes/ : new RegExp(`^${manager}$`);
  if (there.metadata.deletionTimestamp !== undefined && !isTrial) await remove(work, "Background");
  else if (!cluster.isManagedBy(there, ours) && !connection.config.upsertExistingObjects) {
    const message = `${cluster.titleOf(work)} is there already, and not made by this resource`;
    throw cluster.problem(
      "K8S-EXISTS",
      message,
      "delete or `pulumi import` it; a renamed resource needs an alias",
    );
  }
  return true;
}

const isForgotten = (): boolean => connection.api === undefined && connection.config.deleteUnreachable;

async function refresh(request: proto.ReadRequest): Promise<proto.ReadResponse> {
  const [state, given] = [read(request.getProperties()), read(request.getInputs())];
  return await masked({ state, given }, async (mask) => {
    const id = request.getId();
    if (isForgotten()) return new proto.ReadResponse();
    const work = workOn(request, nameIn(id), {}, mask);
    const live = await cluster.find(work);
    if (live === undefined) return new proto.ReadResponse();
    const known = revealed(given);
    const inputs = marked(
      Object.keys(known).length > 0 ? pruned(live, known) : content(live),
      given,
    ) as Properties;
    const now = stateOf(live, inputs, keptIn(state).manager ?? cluster.managerOf(request.getUrn()));
    const { failure } = await awaitReady({ ...work, timeoutSeconds: 0 }, live);
    if (failure !== undefined) throw new PartlyDone(id, mask(failure.message), now, inputs);
    return new proto.ReadResponse().setId(id).setProperties(struct(now)).setInputs(struct(inputs));
  });
}

async function deleteObject(request: proto.DeleteRequest): Promise<Empty> {
  const state = read(request.getProperties());
  return await masked(state, async (mask) => {
    const { inputs } = keptIn(state);
    const policy = annotationOf(inputs, "deletionPropagationPolicy")?.toLowerCase() ?? "";
    const named = { orphan: "Orphan", background: "Background" }[policy] ?? "Foreground";
    if (!isForgotten()) await remove(workOn(request, nameIn(request.getId()), inputs, mask), named);
    return new Empty();
  });
}

async function configure(request: proto.ConfigureRequest): Promise<proto.ConfigureResponse> {
  log(`our stand-in works on the cluster: ${missing}`);
  connection = await connect(revealed(read(request.getArgs())));
  if (connection.failure !== undefined) log(connection.failure.message, "", true);
  const response = new proto.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
  return response.setSupportsAutonamingConfiguration(true);
}

function checkConfig(request: proto.CheckRequest): proto.CheckResponse {
  const failures = checkedConfig(revealed(read(request.getNews())));
  return new proto.CheckResponse().setInputs(request.getNews()).setFailuresList(failures);
}

endWithParent();
serve(
  ResourceProviderService,
  {
    getPluginInfo: () => new PluginInfo().setVersion("4.34.2"),
    checkConfig,
    diffConfig: (request: proto.DiffRequest) =>
      configDifference(revealed(read(request.getOlds())), revealed(read(request.getNews()))),
    configure,
    check,
    diff,
    create: async (request: proto.CreateRequest) => {
      const made = await put(request, read(request.getProperties()));
      const state = made === undefined ? request.getProperties() : struct(made.state);
      return new proto.CreateResponse().setId(made?.id ?? "").setProperties(state);
    },
    update: async (request: proto.UpdateRequest) => {
      const made = await put(request, read(request.getNews()), read(request.getOlds()));
      return new proto.UpdateResponse().setProperties(
        made === undefined ? request.getNews() : struct(made.state),
      );
    },
    delete: deleteObject,
    read: refresh,
    cancel: () => {
      ending.abort();
      return new Empty();
    },
  },
  "kubernetes plugin",
);

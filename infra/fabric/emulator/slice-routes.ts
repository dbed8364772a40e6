/** `slices` and `slivers`. */
import { ApiError } from "./api-error.js";
import { readSlicesPost, readText } from "./body.js";
import type { Call } from "./call.js";
import { createSlice } from "./create-slice.js";
import { writeGraph } from "./formats.js";
import { leaseTime } from "./lease.js";
import { deleteSlices, notYetStable, renewSlice } from "./lifecycle.js";
import type { EmulatorState, SliceRecord } from "./model.js";
import { acceptModify, modifySlice } from "./modify-slice.js";
import { queries, readQuery } from "./query.js";
import { renderGraph, sliceBody, sliverBodies } from "./render.js";
import { sendData } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import { sliceState } from "./states.js";
import type { Identity } from "./token.js";

type ById = { Params: { id: string } };

export function sliceRoutes(context: RouteContext): void {
  const { app, store, now, newId, who } = context;
  const call = (state: EmulatorState, identity: Identity, at: number): Call => ({
    scenario: context.scenario,
    state,
    who: identity,
    now: at,
    newId,
  });

  app.post("/slices/creates", async (request, reply) => {
    const query = readQuery(queries.create, request.query);
    const body = readSlicesPost(request.headers["content-type"], request.body);
    const at = now();
    const identity = who(request);
    const wish = {
      name: query.name ?? "",
      graphml: body.graphModel,
      sshKeys: body.sshKeys,
      lifetime: query.lifetime,
      start: leaseTime(query.lease_start_time, at),
      end: leaseTime(query.lease_end_time, at),
    };
    const made = await store.update((state) => {
      const outcome = createSlice(call(state, identity, at), wish);
      return { state: outcome.state, result: outcome };
    });
    return sendData(reply, "slivers", sliverBodies(made.slice, at, made.slivers));
  });

  app.get("/slices", (request, reply) => {
    const query = readQuery(queries.slices, request.query);
    const identity = who(request);
    const at = now();
    const states = query.states?.includes("All") && query.states.length === 1 ? undefined : query.states;
    // `search` and `exact_match` are taken and not looked at, as in the real one
    const found = store
      .read()
      .slices.filter(
        (s) =>
          s.project.id === identity.project.id && (query.as_self === false || s.owner.id === identity.id),
      )
      .filter((s) => query.name === undefined || s.name === query.name)
      .filter((s) => states === undefined || states.includes(sliceState(s, at)));
    const offset = query.offset ?? 0;
    return sendData(
      reply,
      "slices",
      found.slice(offset, offset + (query.limit ?? 5)).map((s) => sliceBody(s, at)),
    );
  });

  app.get<ById>("/slices/:id", (request, reply) => {
    const query = readQuery(queries.slice, request.query);
    const identity = who(request);
    const slice = visible(store.read(), request.params.id, identity, query.as_self);
    if (slice === undefined) throw new ApiError(404, "User# has no Slices");
    const at = now();
    const model =
      query.graph_format === "NONE"
        ? undefined
        : writeGraph(renderGraph(slice, at), query.graph_format ?? "GRAPHML");
    return sendData(reply, "slice_details", [sliceBody(slice, at, model)]);
  });

  app.put<ById>("/slices/modify/:id", async (request, reply) => {
    const at = now();
    const identity = who(request);
    const graphml = readText(request.body);
    const done = await store.update((state) => {
      const outcome = modifySlice(call(state, identity, at), request.params.id, graphml);
      return { state: outcome.state, result: outcome };
    });
    return sendData(reply, "slivers", sliverBodies(done.slice, at, done.slivers));
  });

  app.post<ById>("/slices/modify/:id/accept", async (request, reply) => {
    const at = now();
    const identity = who(request);
    const { before, slice } = await store.update((state) => {
      const outcome = acceptModify(call(state, identity, at), request.params.id);
      const was = state.slices.find((s) => s.id === request.params.id) ?? outcome.slice;
      return { state: outcome.state, result: { before: was, slice: outcome.slice } };
    });
    // the state in the answer is the one from before, as in the real one
    const body = sliceBody(slice, at, writeGraph(renderGraph(slice, at), "GRAPHML"));
    return sendData(reply, "slice_details", [{ ...body, state: sliceState(before, at) }]);
  });

  app.post<ById>("/slices/renew/:id", async (request, reply) => {
    const query = readQuery(queries.renew, request.query);
    const at = now();
    const end = leaseTime(query.lease_end_time, at) ?? at;
    const identity = who(request);
    await store.update((state) => ({
      state: renewSlice(call(state, identity, at), request.params.id, end).state,
      result: undefined,
    }));
    return sendData(reply, "no_content", [
      { details: `Slice '${request.params.id}' has been successfully renewed`, message: "No Content" },
    ]);
  });

  const remove = async (identity: Identity, id?: string): Promise<void> => {
    const at = now();
    const early = await store.update((state) => {
      const outcome = deleteSlices(call(state, identity, at), id);
      return { state: outcome.state, result: outcome.early };
    });
    if (early.length > 0) throw notYetStable(early);
  };
  app.delete<ById>("/slices/delete/:id", async (request, reply) => {
    await remove(who(request), request.params.id);
    return sendData(reply, "no_content", [
      { details: `Slice '${request.params.id}' has been successfully deleted`, message: "No Content" },
    ]);
  });
  app.delete("/slices/delete", async (request, reply) => {
    await remove(who(request));
    return sendData(reply, "no_content", [
      { details: "Slices for user have been successfully deleted", message: "No Content" },
    ]);
  });

  app.get("/slivers", (request, reply) => {
    const query = readQuery(queries.slivers, request.query);
    const slice = visible(store.read(), query.slice_id ?? "", who(request), query.as_self);
    if (slice === undefined) throw new ApiError(404, `Slice# ${query.slice_id} has no reservations`);
    return sendData(reply, "slivers", sliverBodies(slice, now()));
  });
  app.get<ById>("/slivers/:id", (request, reply) => {
    const query = readQuery(queries.slivers, request.query);
    const slice = visible(store.read(), query.slice_id ?? "", who(request), query.as_self);
    const found = slice === undefined ? [] : sliverBodies(slice, now(), new Set([request.params.id]));
    if (found.length === 0) throw new ApiError(404, `Reservation# ${request.params.id} not found`);
    return sendData(reply, "slivers", found);
  });
}

function visible(
  state: EmulatorState,
  id: string,
  who: Identity,
  asSelf: boolean | undefined,
): SliceRecord | undefined {
  return state.slices.find(
    (s) => s.id === id && (asSelf === false ? s.project.id === who.project.id : s.owner.id === who.id),
  );
}

/** `poas`: calls on a running sliver. They succeed and do nothing, but a reboot where nodes have hosts (hosts.ts). */
import { readPoaPost } from "./body.js";
import { createPoa } from "./lifecycle.js";
import { queries, readQuery } from "./query.js";
import { poaBody } from "./render.js";
import { sendData } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import { poaState } from "./states.js";

type ById = { Params: { id: string } };

export function poaRoutes(context: RouteContext): void {
  const { app, store, now, newId, who } = context;

  app.post<ById>("/poas/create/:id", async (request, reply) => {
    const { operation } = readPoaPost(request.headers["content-type"], request.body);
    const identity = who(request);
    const at = now();
    const made = await store.update((state) => {
      const outcome = createPoa(
        { scenario: context.scenario, state, who: identity, now: at, newId },
        request.params.id,
        operation,
      );
      return { state: outcome.state, result: outcome };
    });
    const body = { poa_id: made.id, operation, sliver_id: request.params.id, slice_id: made.sliceId };
    return sendData(reply, operation, [body]); // the type of the answer is the operation, as in the real one
  });

  app.get("/poas/", (request, reply) => {
    const query = readQuery(queries.poas, request.query);
    const identity = who(request);
    const at = now();
    const found = store
      .read()
      .poas.filter(
        (p) =>
          p.projectId === identity.project.id &&
          (query.sliver_id === undefined || p.sliverId === query.sliver_id),
      )
      .filter((p) => query.states === undefined || query.states.includes(poaState(p, at)));
    const offset = query.offset ?? 0;
    return sendData(
      reply,
      "poas",
      found.slice(offset, offset + (query.limit ?? 5)).map((p) => poaBody(p, at)),
    );
  });
  app.get("/poas", (_request, reply) => reply.redirect("/poas/", 308));

  app.get<ById>("/poas/:id", (request, reply) => {
    const identity = who(request);
    const found = store
      .read()
      .poas.filter((p) => p.projectId === identity.project.id && p.id === request.params.id);
    return sendData(
      reply,
      "poas",
      found.map((p) => poaBody(p, now())),
    );
  });
}

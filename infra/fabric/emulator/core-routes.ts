/**
 * As much of the core API as FABlib asks for: who one is, one's project, one's keys. Source: fabric-core-api, whoami_controller.py,
 * people_controller.py, projects_controller.py; fabrictestbed 2.0.9, core_api.py.
 */
import { ApiError } from "./api-error.js";
import { sendJson } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import type { Identity } from "./token.js";

type ById = { Params: { id: string } };

export function coreRoutes(context: RouteContext): void {
  const { app, who } = context;
  const list = (type: string, results: readonly unknown[]) => ({
    results,
    size: results.length,
    status: 200,
    type,
  });
  const paged = (type: string, results: readonly unknown[]) => ({
    ...list(type, results),
    limit: 200,
    offset: 0,
    total: results.length,
    links: {},
  });
  const name = () => context.scenario.identity.name;

  app.get("/whoami", (request, reply) => {
    const { id, email } = who(request);
    return sendJson(reply, list("whoami", [{ active: true, email, enrolled: true, name: name(), uuid: id }]));
  });
  app.get("/people", (request, reply) => {
    const { id, email } = who(request);
    const { search } = request.query as { readonly search?: string };
    const wanted = search?.toLowerCase();
    const found = wanted === undefined || [email, id, name()].some((t) => t.toLowerCase() === wanted);
    return sendJson(reply, paged("people", found ? [{ email, name: name(), uuid: id }] : []));
  });
  app.get<ById>("/people/:id", (request, reply) => {
    const identity = who(request);
    if (request.params.id !== identity.id)
      throw new ApiError(404, `No match for Person with uuid = '${request.params.id}'`);
    const { id, email } = identity;
    return sendJson(
      reply,
      list("people.details", [
        {
          affiliation: "Emulated",
          bastion_login: context.scenario.identity.bastionLogin,
          email,
          name: name(),
          roles: [{ name: `${identity.project.id}-pm`, description: identity.project.name }],
          sshkeys: [],
          uuid: id,
        },
      ]),
    );
  });
  app.get("/projects", (request, reply) => {
    const project = projectOf(who(request));
    const { search } = request.query as { readonly search?: string };
    const found = search === undefined || project.name.toLowerCase().includes(search.toLowerCase());
    return sendJson(reply, paged("projects", found ? [project] : []));
  });
  app.get<ById>("/projects/:id", (request, reply) => {
    const project = projectOf(who(request));
    if (request.params.id !== project.uuid)
      throw new ApiError(404, `No match for Project with uuid = '${request.params.id}'`);
    return sendJson(reply, list("projects.details", [project]));
  });
  app.get("/sshkeys", (request, reply) => {
    who(request);
    return sendJson(reply, list("sshkeys", []));
  });
}

function projectOf(identity: Identity) {
  const { id, name } = identity.project;
  return {
    active: true,
    description: "on this machine only",
    memberships: { is_creator: false, is_lead: false, is_member: true, is_owner: false, is_token_holder: false },
    name,
    tags: identity.tags,
    uuid: id,
  }; // biome-ignore format: one line each
}

/** What a test does to the emulator while it runs: another scenario, one more fault, a look inside. The routes are listed at the top of scenario.ts. */
import { timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { InfraError } from "../../problem.js";
import { FrontError } from "./api-error.js";
import { parseJson, readText } from "./body.js";
import { issueToken, newCredentials, newRefreshToken, tokenHash } from "./credential-manager.js";
import type { CallEntry } from "./fault-hooks.js";
import { countsOf } from "./faults.js";
import { writeTime } from "./lease.js";
import type { EmulatorState } from "./model.js";
import { sendJson } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import { parseScenario, type Scenario } from "./scenario.js";
import { sliceState, sliverState } from "./states.js";

type Input = Readonly<Record<string, unknown>>;

const tokenWish = z.strictObject({
  lifetimeSeconds: z.number().int().positive().default(4 * 3600),
  refresh: z.boolean().default(true),
  email: z.string().optional(),
  uuid: z.string().optional(),
  tags: z.array(z.string()).optional(),
  project: z.strictObject({ uuid: z.string(), name: z.string() }).optional(),
}); // biome-ignore format: reads as a table

/** @param calls the last calls, a list that grows */
export function adminRoutes(context: RouteContext, adminToken: string, calls: readonly CallEntry[]): void {
  const { app, store } = context;
  const open = (request: FastifyRequest): void => {
    const given = request.headers.authorization?.replace(/^Bearer\s+/i, "") ?? "";
    if (!sameText(given, adminToken)) throw new FrontError(401, "Unauthorized", "the emulator's admin token is needed");
  }; // biome-ignore format: one line

  /** Puts a scenario in force once it is known to be one. */
  const put = async (change: (state: EmulatorState) => { readonly scenario: unknown; readonly counts?: EmulatorState["faults"] }) =>
    await store.update((state) => {
      const next = change(state);
      checked(next.scenario ?? {});
      const { scenario: _was, ...rest } = state;
      return { state: { ...rest, ...(next.scenario === undefined ? {} : { scenario: next.scenario }), ...(next.counts === undefined ? {} : { faults: next.counts }) }, result: undefined };
    }); // biome-ignore format: reads as a sentence

  app.get("/emulator/scenario", (request, reply) => {
    open(request);
    return sendJson(reply, written(context.scenario));
  });
  app.put("/emulator/scenario", async (request, reply) => {
    open(request);
    const scenario = input(request);
    await put(() => ({ scenario, counts: {} }));
    return sendJson(reply, written(context.scenario));
  });
  app.patch("/emulator/scenario", async (request, reply) => {
    open(request);
    const patch = input(request);
    await put((state) => {
      const merged = Object.entries({ ...written(context.scenario), ...patch }).filter(
        ([, value]) => value !== null,
      );
      const fresh = "faults" in patch || "sliverFaults" in patch || "seed" in patch;
      return { scenario: Object.fromEntries(merged), counts: fresh ? {} : countsOf(state) };
    });
    return sendJson(reply, written(context.scenario));
  });
  app.delete("/emulator/scenario", async (request, reply) => {
    open(request);
    await put(() => ({ scenario: undefined, counts: {} }));
    return sendJson(reply, written(context.scenario));
  });

  for (const [path, key, prefix] of [
    ["/emulator/faults", "faults", "fault"],
    ["/emulator/sliver-faults", "sliverFaults", "sliver"],
  ] as const) {
    app.post(path, async (request, reply) => {
      open(request);
      const given = parseJson(readText(request.body));
      const rules: readonly unknown[] = Array.isArray(given) ? given : [given];
      const names: string[] = [];
      await put((state) => {
        names.length = 0;
        const before = written(context.scenario);
        const old = rulesOf(before, key);
        const taken = new Set([...rulesOf(before, "faults"), ...rulesOf(before, "sliverFaults")].map((r) => r.name));
        const added = rules.map((rule) => {
          const own = (rule as { name?: unknown } | null)?.name;
          const name = typeof own === "string" ? own : freeName(prefix, new Set([...taken, ...names, ...Object.keys(countsOf(state))]));
          names.push(name);
          return typeof rule === "object" && rule !== null ? { ...rule, name } : rule;
        });
        return { scenario: { ...before, [key]: [...old, ...added] }, counts: countsOf(state) };
      });
      return sendJson(reply, { names });
    }); // biome-ignore format: reads as a sentence
  }
  const clear = async (name?: string): Promise<void> => {
    const known = [...context.scenario.faults, ...context.scenario.sliverFaults];
    if (name !== undefined && !known.some((r) => r.name === name))
      throw new FrontError(404, "Not Found", `no fault ${name}`);
    await put((state) => {
      const before = written(context.scenario);
      const keep = (key: "faults" | "sliverFaults") =>
        rulesOf(before, key).filter((r) => name !== undefined && r.name !== name);
      const scenario = { ...before, faults: keep("faults"), sliverFaults: keep("sliverFaults") };
      return { scenario, counts: countsOf(state) };
    });
  };
  app.delete("/emulator/faults", async (request, reply) => {
    open(request);
    await clear();
    return sendJson(reply, {});
  });
  app.delete<{ Params: { name: string } }>("/emulator/faults/:name", async (request, reply) => {
    open(request);
    await clear(request.params.name);
    return sendJson(reply, {});
  });

  app.get("/emulator/state", (request, reply) => {
    open(request);
    const state = store.read();
    return sendJson(reply, {
      now: context.now(),
      slices: sliceLines(state, context.now()),
      faults: countsOf(state),
      calls,
    });
  });

  app.post("/emulator/tokens", async (request, reply) => {
    open(request);
    const parsed = tokenWish.safeParse(input(request));
    if (!parsed.success) throw new FrontError(400, "Bad Request", parsed.error.issues[0]?.message ?? "");
    const wish = parsed.data;
    const { identity, tokenSeconds } = context.scenario;
    const token = await store.update((state) => {
      const outcome = issueToken(state.credentials ?? newCredentials(), {
        person: {
          uuid: wish.uuid ?? identity.uuid,
          email: wish.email ?? identity.email,
          name: identity.name,
          project: { ...identity.project, ...wish.project, tags: wish.tags ?? identity.project.tags },
        },
        now: context.now(),
        lifetimeMs: wish.lifetimeSeconds * 1000,
        refreshMs: wish.refresh ? tokenSeconds.refresh * 1000 : undefined,
        refreshToken: newRefreshToken(),
        id: context.newId(),
        scope: "all",
        comment: "Created by a test",
        from: request.ip,
      });
      return { state: { ...state, credentials: outcome.state }, result: outcome.token };
    });
    return sendJson(reply, token);
  });
}

/** The scenario in force as it was written. */
function written(scenario: Scenario): Input {
  return scenario.source as Input;
}

function rulesOf(scenario: Input, key: "faults" | "sliverFaults"): readonly { readonly name?: string }[] {
  const rules = scenario[key];
  if (!Array.isArray(rules)) return [];
  const named = key === "faults" ? parseScenario({ faults: rules }).faults : parseScenario({ sliverFaults: rules }).sliverFaults; // biome-ignore format: one line
  return rules.map((rule: object, i) => ({ ...rule, name: named[i]?.name ?? "" }));
}

function freeName(prefix: string, taken: ReadonlySet<string | undefined>): string {
  for (let n = 1; ; n++) if (!taken.has(`${prefix}-${n}`)) return `${prefix}-${n}`;
}

function sliceLines(state: EmulatorState, now: number): readonly Input[] {
  return state.slices.map((slice) => ({
    id: slice.id,
    name: slice.name,
    owner: slice.owner.email,
    project: slice.project.name,
    state: sliceState(slice, now),
    leaseEnd: writeTime(slice.leaseEnd),
    slivers: slice.slivers.map((s) => {
      const { state: sliver, error } = sliverState(s, slice, now);
      const name = slice.graph.nodes.find((n) => n.props.NodeID === s.nodeId)?.props.Name ?? "";
      return { id: s.id, name, kind: s.kind, state: sliver, ...(error === undefined ? {} : { error }) };
    }),
  }));
}

/** @throws FrontError 400 */
function input(request: FastifyRequest): Input {
  const text = readText(request.body);
  const value = text === "" ? {} : parseJson(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Input;
  throw new FrontError(400, "Bad Request", "not an object");
}

/** @throws FrontError 400 with what is wrong in it */
function checked(scenario: unknown): void {
  try {
    parseScenario(scenario);
  } catch (error) {
    if (error instanceof InfraError) throw new FrontError(400, "Bad Request", error.message);
    throw error;
  }
}

function sameText(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(tokenHash(a)), Buffer.from(tokenHash(b)));
}

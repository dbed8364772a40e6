import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AgentPlace, agentService, placementOf } from "../../../dynamos/placement.js";
import { emulatorService, marketplaceServices } from "../../../dynamos/services.js";
import { resolveSpec } from "../../../dynamos/spec.js";
import { serviceSpecProblems } from "../../../infra/local/service-schema.js";
import { templateTexts } from "../../../infra/local/template.js";
import { paperStack } from "./paper-stack.js";

const party = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/);
const node = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}[a-z0-9]$/);
const agents = fc.uniqueArray(
  fc.record({ party, node, role: fc.constantFrom("agent" as const, "thirdParty" as const) }),
  { selector: (a: AgentPlace) => a.party.toLowerCase(), maxLength: 8 },
);
const input = fc.record({
  core: node,
  agents,
  experiment: fc.constantFrom("examples/titanic", "./titanic/", "../shared/x"),
});

describe("marketplaceServices", () => {
  it("are all well-formed specifications with unique names", () => {
    fc.assert(
      fc.property(input, ({ experiment, ...placement }) => {
        const services = [emulatorService(), ...marketplaceServices({ placement, experiment })];
        expect(services.flatMap(serviceSpecProblems)).toEqual([]);
        expect(new Set(services.map((s) => s.name)).size).toBe(services.length);
      }),
    );
  });

  it("need only services that come before them", () => {
    fc.assert(
      fc.property(input, ({ experiment, ...placement }) => {
        const before = new Set<string>();
        for (const service of marketplaceServices({ placement, experiment })) {
          expect((service.needs ?? []).filter((n) => !before.has(n))).toEqual([]);
          before.add(service.name);
        }
      }),
    );
  });

  it("change for nobody when an agent comes", () => {
    fc.assert(
      fc.property(input, party, node, ({ experiment, ...placement }, name, place) => {
        fc.pre(!placement.agents.some((a) => a.party.toLowerCase() === name.toLowerCase()));
        const more = {
          ...placement,
          agents: [...placement.agents, { party: name, node: place, role: "agent" as const }],
        };
        const after = marketplaceServices({ placement: more, experiment });
        expect(after.filter((s) => s.name !== agentService(name))).toEqual(
          marketplaceServices({ placement, experiment }),
        );
      }),
    );
  });

  it("hold no absolute path, no fixed port and no secret", () => {
    fc.assert(
      fc.property(input, ({ experiment, ...placement }) => {
        for (const service of marketplaceServices({ placement, experiment })) {
          for (const { text } of templateTexts(service))
            expect(text).not.toMatch(/^\/|[=\s]\/(?!api)\w|127\.0\.0\.1:\d/);
          expect(Object.values(service.ports ?? {})).toEqual(Object.values(service.ports ?? {}).map(() => 0));
          expect(service.env?.AMQP_PASSWORD_FILE ?? "{{secretFile:}}").toMatch(/^\{\{secretFile:/);
        }
      }),
    );
  });

  it("have the gateway on the port that the specification fixes", () => {
    const services = marketplaceServices({
      placement: { core: "core", agents: [] },
      experiment: "x",
      ports: { gateway: 8080 },
    });
    expect(services.find((s) => s.name === "api-gateway")?.ports).toEqual({ http: 8080 });
  });

  it("take tokens of the issuer that the specification names, and have none of their own then", () => {
    const placement = { core: "core", agents: [] };
    const users = { issuer: "https://id.example/", audience: "a", userClaim: "email", rolesClaim: "groups" };
    const services = marketplaceServices({ placement, experiment: "x", users });
    const own = marketplaceServices({ placement, experiment: "x" });
    const named = (list: typeof services, name: string) => list.find((s) => s.name === name);
    expect(named(services, "development-issuer")).toBeUndefined();
    for (const name of ["orchestrator", "api-gateway"]) {
      expect(named(services, name)?.env).toMatchObject({
        OIDC_ISSUER: "https://id.example/",
        OIDC_AUDIENCE: "a",
        OIDC_USER_CLAIM: "email",
        OIDC_ROLES_CLAIM: "groups",
      });
      expect(named(own, name)?.env?.OIDC_ISSUER).toBe("http://127.0.0.1:{{port:development-issuer/http}}");
      expect(named(own, name)?.needs).toContain("development-issuer");
    }
  });

  it("of the paper's stack are these", () => {
    const { spec } = resolveSpec(paperStack());
    if (spec === undefined) throw new Error("the paper's stack is wrong");
    expect(
      marketplaceServices({ placement: placementOf(spec), experiment: spec.experiment }),
    ).toMatchSnapshot();
  });
});

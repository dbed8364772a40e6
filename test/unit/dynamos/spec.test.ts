import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../../dynamos/spec.js";
import { paperStack } from "./paper-stack.js";

/** `code path` of each problem. */
const found = (raw: unknown): string[] => (resolveSpec(raw).problems ?? []).map((p) => `${p.code} ${p.path}`);
const changed = (change: (stack: ReturnType<typeof paperStack>) => void): unknown => {
  const stack = paperStack();
  change(stack);
  return stack;
};
const node = (stack: ReturnType<typeof paperStack>, name: string): Record<string, unknown> =>
  stack.nodes[name] ?? {};

describe("resolveSpec", () => {
  it("fills in what is not said", () => {
    const { spec } = resolveSpec(paperStack());
    expect(spec?.lease).toBe("14d");
    expect(spec?.nodes.clienttwo).toEqual({ role: "agent", site: "LOSA", cores: 4, ram: 16, disk: 50 });
    expect(spec?.nodes.control).toMatchObject({ cores: 2, ram: 8, disk: 50 });
  });

  it("takes a specification of four lines", () => {
    const { spec, problems } = resolveSpec({
      experiment: "titanic",
      nodes: { core: { role: "core", site: "AMST" }, ada: { role: "agent", site: "AMST" } },
    });
    expect(problems).toBeUndefined();
    expect(spec?.target).toBe("local");
  });

  it.each([
    ["nothing at all", undefined, ["SPEC-MISSING dynamos-fabric:marketplace"]],
    ["a text", "titanic", ["SPEC-TYPE "]],
    ["an empty object", {}, ["SPEC-MISSING experiment", "SPEC-MISSING nodes"]],
    ["no core", changed((s) => delete s.nodes.core), ["SPEC-NO-CORE nodes"]],
    [
      "two cores",
      changed((s) => {
        node(s, "server").role = "core";
      }),
      ["SPEC-CORE-TWICE nodes.server.role"],
    ],
    [
      "a role misspelt",
      changed((s) => {
        node(s, "server").role = "agnet";
      }),
      ["SPEC-ROLE-UNKNOWN nodes.server.role"],
    ],
    ["a role missing", changed((s) => delete node(s, "server").role), ["SPEC-MISSING nodes.server.role"]],
    [
      "an unknown key",
      changed((s) => {
        node(s, "server").core = 4;
      }),
      ["SPEC-KEY-UNKNOWN nodes.server.core"],
    ],
    [
      "an unknown key at the top",
      changed((s) => {
        s.experiments = "x";
      }),
      ["SPEC-KEY-UNKNOWN experiments"],
    ],
    [
      "an unknown target",
      changed((s) => {
        s.target = "fabrik";
      }),
      ["SPEC-TARGET-UNKNOWN target"],
    ],
    [
      "a lease without unit",
      changed((s) => {
        s.lease = "14";
      }),
      ["SPEC-LEASE lease"],
    ],
    [
      "a lease that is a number",
      changed((s) => {
        s.lease = 14;
      }),
      ["SPEC-LEASE lease"],
    ],
    [
      "half a core",
      changed((s) => {
        node(s, "server").cores = 0.5;
      }),
      ["SPEC-TYPE nodes.server.cores"],
    ],
    [
      "cores in words",
      changed((s) => {
        node(s, "server").cores = "four";
      }),
      ["SPEC-TYPE nodes.server.cores"],
    ],
    [
      "no cores",
      changed((s) => {
        node(s, "server").cores = 0;
      }),
      ["SPEC-VALUE nodes.server.cores"],
    ],
    [
      "a name with a blank",
      changed((s) => {
        s.nodes["my node"] = { role: "agent", site: "AMST" };
      }),
      ['SPEC-NAME nodes["my node"]'],
    ],
    [
      "two names that differ by case",
      changed((s) => {
        s.nodes.clientTwo = { role: "agent", site: "AMST" };
      }),
      ["SPEC-NODE-TWICE nodes.clientTwo"],
    ],
    [
      "a node named as FABRIC",
      changed((s) => {
        s.nodes.fabric = { role: "agent", site: "AMST" };
      }),
      ["SPEC-NODE-RESERVED nodes.fabric"],
    ],
    [
      "a party with two agents",
      changed((s) => {
        node(s, "clientthree").party = "clienttwo";
      }),
      ["SPEC-PARTY-TWICE nodes.clientthree.party"],
    ],
    [
      "a party at the core",
      changed((s) => {
        node(s, "core").party = "ada";
      }),
      ["SPEC-PARTY-ROLE nodes.core.party"],
    ],
    ["no site", changed((s) => delete node(s, "server").site), ["SPEC-NODE-NO-SITE nodes.server.site"]],
    [
      "a party and a core without addresses",
      changed((s) => {
        for (const name of ["core", "clienttwo", "control"]) node(s, name).siteNetwork = false;
      }),
      ["SPEC-NODE-NO-NETWORK nodes.core.siteNetwork", "SPEC-NODE-NO-NETWORK nodes.clienttwo.siteNetwork"],
    ],
    [
      "a control plane that FABRIC's nodes cannot reach",
      changed((s) => {
        s.target = "fabric";
        node(s, "control").siteNetwork = false;
      }),
      ["SPEC-NODE-NO-NETWORK nodes.control.siteNetwork"],
    ],
    [
      "a login of machines that is none",
      changed((s) => {
        (s as Record<string, unknown>).machines = { user: "a b", bastion: { prot: 22 } };
      }),
      [
        "SPEC-VALUE machines.user",
        "SPEC-MISSING machines.bastion.host",
        "SPEC-KEY-UNKNOWN machines.bastion.prot",
      ],
    ],
    [
      "hosts without host",
      { target: "hosts", experiment: "x", nodes: { core: { role: "core", site: "AMST" } } },
      ["SPEC-NODE-NO-HOST nodes.core.host"],
    ],
    [
      "an absolute experiment",
      changed((s) => {
        s.experiment = "/home/ada/titanic";
      }),
      ["SPEC-EXPERIMENT-PATH experiment"],
    ],
    [
      "a port beyond all",
      changed((s) => {
        s.ports = { gateway: 70_000 };
      }),
      ["SPEC-VALUE ports.gateway"],
    ],
    [
      "an issuer whose tokens would come in the clear",
      changed((s) => {
        s.users = { issuer: "http://login.example.org" };
      }),
      ["SPEC-VALUE users.issuer"],
    ],
    [
      "an issuer that is no URL, and a misspelt claim",
      changed((s) => {
        s.users = { issuer: "keycloak", userclaim: "email" };
      }),
      ["SPEC-VALUE users.issuer", "SPEC-KEY-UNKNOWN users.userclaim"],
    ],
  ])("refuses %s", (_name, raw, expected) => {
    expect(found(raw)).toEqual(expected);
  });

  it("knows the settings of every place, and says which one was meant", () => {
    const wrong = changed((s) => {
      Object.assign(node(s, "core"), { dta: "/srv" });
      Object.assign(s, {
        cluster: { kubespray: { versoin: "v2.31.0" } },
        kubernetes: { images: { form: "archive" } },
      });
    });
    const said = (resolveSpec(wrong).problems ?? []).map(({ path, message }) => `${path}: ${message}`);
    expect(said).toEqual([
      'nodes.core.dta: no setting "dta"; did you mean data?',
      'cluster.kubespray.versoin: no setting "versoin"; did you mean version?',
      'kubernetes.images.form: no setting "form"; did you mean from?',
    ]);
  });

  it("takes an issuer by its URL, and knows the rest of its settings", () => {
    for (const issuer of ["https://login.example.org/realms/lab", "http://127.0.0.1:8080"]) {
      const { spec } = resolveSpec(
        changed((s) => {
          s.users = { issuer };
        }),
      );
      expect(spec?.users).toEqual({
        issuer,
        audience: "dynamos-fabric",
        userClaim: "sub",
        rolesClaim: "roles",
      });
    }
  });

  it("tells all problems at once, each with its file", () => {
    const { problems } = resolveSpec(
      changed((s) => {
        node(s, "server").role = "agnet";
        delete s.nodes.core;
        s.lease = "soon";
      }),
      "Pulumi.dev.yaml",
    );
    expect(problems?.map((p) => p.code).sort()).toEqual(["SPEC-LEASE", "SPEC-NO-CORE", "SPEC-ROLE-UNKNOWN"]);
    expect(problems?.every((p) => p.file === "Pulumi.dev.yaml" && p.remedy !== undefined)).toBe(true);
  });

  it("guesses what was meant", () => {
    const [problem] =
      resolveSpec(
        changed((s) => {
          node(s, "server").role = "agnet";
        }),
      ).problems ?? [];
    expect(problem?.message).toBe('no role "agnet"; did you mean agent?');
  });

  it("answers anything with a specification or with problems that can be mended", () => {
    fc.assert(
      fc.property(fc.anything(), (raw) => {
        const { spec, problems } = resolveSpec(raw);
        expect((spec === undefined) !== (problems === undefined)).toBe(true);
        for (const p of problems ?? []) expect(p.code).toMatch(/^SPEC-[A-Z-]+$/);
      }),
    );
  });
});

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { check, preflight } from "../../../dynamos/preflight.js";
import { problemTable } from "../../../dynamos/problem-table.js";
import { paperStack } from "./paper-stack.js";

type Stack = ReturnType<typeof paperStack>;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pre flight-"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: dynamos-fabric\nruntime: nodejs\n");
  mkdirSync(join(folder, "examples"));
  cpSync("examples/titanic", join(folder, "examples/titanic"), {
    recursive: true,
    filter: (path) => !path.endsWith(".csv"),
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (change: (stack: Stack) => void = () => undefined) => {
  const config = paperStack();
  change(config);
  return preflight({ config, stack: "dev", folder });
};
const codes = async (change: (stack: Stack) => void): Promise<string[]> =>
  (await run(change)).problems.map((p) => [p.code, p.file, p.path].filter(Boolean).join(" "));
const node = (stack: Stack, name: string): Record<string, unknown> => stack.nodes[name] ?? {};
const write = (file: string, value: unknown): void =>
  writeFileSync(
    join(folder, "examples/titanic", file),
    typeof value === "string" ? value : JSON.stringify(value),
  );

describe("preflight", () => {
  it("finds the paper's stack well", async () => {
    const found = await run();
    expect(found.problems).toEqual([]);
    expect(found.ready?.placement.agents.map((a) => a.party)).toEqual([
      "clientone",
      "clientthree",
      "clienttwo",
      "server",
    ]);
  });

  it.each<[string, (stack: Stack) => void, string[]]>([
    [
      "an unknown site",
      (s) => {
        node(s, "clienttwo").site = "LOAS";
      },
      ["FAB-SITE-UNKNOWN Pulumi.dev.yaml nodes.clienttwo.site"],
    ],
    [
      "a node larger than any",
      (s) => {
        node(s, "server").cores = 65;
      },
      ["FAB-SIZE-TOO-LARGE Pulumi.dev.yaml nodes.server.cores"],
    ],
    [
      "an unknown component",
      (s) => {
        node(s, "server").components = ["GPU_A31"];
      },
      ["FAB-COMPONENT-UNKNOWN Pulumi.dev.yaml nodes.server.components[0]"],
    ],
    [
      "a lease beyond 26 weeks",
      (s) => {
        s.lease = "365d";
      },
      ["FAB-LEASE-TOO-LONG Pulumi.dev.yaml lease"],
    ],
    [
      "a party of an agreement without a node",
      (s) => void delete s.nodes.clientthree,
      ["DOC-PARTY-UNKNOWN agreements/clientthree.json name"],
    ],
    [
      "no experiment folder",
      (s) => {
        s.experiment = "examples/titanix";
      },
      ["DOC-FOLDER Pulumi.dev.yaml experiment"],
    ],
    [
      "a cluster that is there already",
      (s) => {
        s.target = "kubernetes";
        for (const n of Object.values(s.nodes)) n.host = "worker-1";
      },
      ["SPEC-NO-ISSUER Pulumi.dev.yaml users"],
    ],
    [
      "machines of one's own with a control plane of two, and no key",
      (s) => {
        s.target = "hosts";
        (s as Record<string, unknown>).machines = { keyFile: "no such key" };
        s.nodes.second = { role: "control" };
        for (const n of Object.values(s.nodes)) n.host = "10.0.0.5";
      },
      [
        "CLU-ETCD-EVEN Pulumi.dev.yaml nodes",
        "SPEC-NO-ISSUER Pulumi.dev.yaml users",
        "CLU-KEY Pulumi.dev.yaml machines.keyFile",
      ],
    ],
  ])("refuses %s", async (_name, change, expected) => {
    expect(await codes(change)).toEqual(expected);
  });

  it("tells of sites without room, with others that have it", async () => {
    const { problems } = await run((s) => {
      for (let i = 0; i < 4; i += 1)
        s.nodes[`big${i}`] = { role: "agent", site: "HAWI", cores: 64, ram: 128 };
    });
    // Three workers of 64 cores: the fourth finds none.
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({
      code: "FAB-SITE-FULL",
      file: "Pulumi.dev.yaml",
      path: "nodes.big3.cores",
      message: "64 asked, HAWI has 0 free",
    });
    expect(problems[0]?.remedy).toMatch(/^room at [A-Z]+, [A-Z]+, [A-Z]+$/);
  });

  it("tells of form, sites and documents at once", async () => {
    write("agreements/clientthree.json", {
      name: "clientthree",
      relations: {},
      computeProviders: [],
      archetypes: [],
    });
    write("archetypes/computeToData.json", "{ not json");
    const found = await codes((s) => {
      node(s, "clienttwo").site = "LOAS";
      node(s, "server").role = "agnet";
      s.lease = "soon";
    });
    for (const code of [
      "SPEC-LEASE",
      "SPEC-ROLE-UNKNOWN",
      "FAB-SITE-UNKNOWN",
      "DOC-SYNTAX",
      "DOC-AGREEMENT-NOBODY",
    ]) {
      expect(
        found.some((f) => f.startsWith(code)),
        code,
      ).toBe(true);
    }
  });

  it("does not miss a party whose node's role is misspelt", async () => {
    expect(
      await codes((s) => {
        node(s, "clientthree").role = "agnet";
      }),
    ).toEqual(["SPEC-ROLE-UNKNOWN Pulumi.dev.yaml nodes.clientthree.role"]);
  });

  it("tells a key that stands twice in a document", async () => {
    write("agreements/clientthree.json", '{\n "name": "clientthree",\n "name": "clienttwo"\n}');
    expect((await run()).problems.find((p) => p.code === "DOC-SYNTAX")).toMatchObject({
      file: "agreements/clientthree.json",
      message: expect.stringContaining("line 3"),
    });
  });

  it("takes the revision out of a document", async () => {
    write("archetypes/computeToData.json", {
      $revision: 12,
      name: "computeToData",
      computeProvider: "dataProvider",
      resultRecipient: "requestor",
      weight: 100,
    });
    const { problems, ready } = await run();
    expect(problems).toEqual([]);
    const document = ready?.experiment.documents.find((d) => d.name === "computeToData");
    expect(document?.revision).toBe(12);
    expect(document?.value).not.toHaveProperty("$revision");
  });

  it("notes an agent without an agreement, and goes on", async () => {
    const { problems, notes } = await run((s) => {
      s.nodes.clientfour = { role: "agent", site: "HAWI" };
    });
    expect(problems).toEqual([]);
    expect(notes).toMatchObject([{ code: "SPEC-PARTY-NO-AGREEMENT", path: "nodes.clientfour" }]);
  });

  it("tells of a fixed port that somebody has", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    expect(
      await codes((s) => {
        s.ports = { gateway: port };
      }),
    ).toEqual(["LOC-PORT-IN-USE Pulumi.dev.yaml ports.gateway"]);
    await new Promise((done) => server.close(done));
    expect(
      await codes((s) => {
        s.ports = { gateway: port };
      }),
    ).toEqual([]);
  });

  it("answers rubbish with problems, not with a fault", async () => {
    for (const config of [
      undefined,
      null,
      7,
      "x",
      [],
      { nodes: 3 },
      { nodes: { core: null } },
      { nodes: [], experiment: 4 },
    ]) {
      expect((await check({ config, stack: "dev", folder })).length).toBeGreaterThan(0);
    }
  });
});

describe("problemTable", () => {
  it("reads as promised", () => {
    const table = problemTable([
      {
        code: "FAB-SITE-UNKNOWN",
        file: "Pulumi.dev.yaml",
        path: "nodes.clienttwo.site",
        message: 'no site "LOAS"; did you mean LOSA?',
        remedy: "all: dynamos-fabric sites",
      },
      {
        code: "FAB-SITE-FULL",
        file: "Pulumi.dev.yaml",
        path: "nodes.server.cores",
        message: "64 asked, AMST has 12 free",
        remedy: "room at BRIST, CERN, PSC",
      },
      {
        code: "POL-USER-NO-RIGHTS",
        file: "agreements/clientthree.json",
        path: 'relations["ada@uva.nl"].requestTypes',
        message: "empty",
        remedy: "name a request type or remove the user",
      },
    ]);
    expect(`\n${table}`).toMatchInlineSnapshot(`
      "
      3 problems; nothing was changed
        Pulumi.dev.yaml  nodes.clienttwo.site  FAB-SITE-UNKNOWN    no site "LOAS"; did you mean LOSA? (all: dynamos-fabric sites)
        Pulumi.dev.yaml  nodes.server.cores    FAB-SITE-FULL       64 asked, AMST has 12 free; room at BRIST, CERN, PSC
        agreements/clientthree.json  relations["ada@uva.nl"].requestTypes
                                               POL-USER-NO-RIGHTS  empty; name a request type or remove the user"
    `);
  });
});

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { foldersByNode, planKubernetes } from "../../../dynamos/kubernetes/plan.js";
import { partyDataFolder } from "../../../dynamos/kubernetes/volumes.js";
import { agentServiceSpec } from "../../../dynamos/services.js";
import { dataProblems, stewardFolders, uncopiedData } from "../../../dynamos/steward-data.js";

const folder = mkdtempSync(join(tmpdir(), "steward data "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const put = (path: string, text: string): void => {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
};
put("data/uva/persons.csv", "a\n");
put("data/uva/2026/more.csv", "b\n");
put("data/uva/.hidden", "c\n");
put("elsewhere.csv", "d\n");
symlinkSync(join(folder, "elsewhere.csv"), join(folder, "data/uva/linked.csv"));
const uva = { party: "uva", node: "amst", role: "agent" } as const;
const vu = { party: "vu", node: "losa", role: "agent", data: "/srv/vu" } as const;
const surf = { party: "surf", node: "toky", role: "thirdParty" } as const;

describe("the data of stewards", () => {
  it("are each party's files for its own node alone, with checksum and size, or a folder that is there", async () => {
    const folders = await stewardFolders({
      experiment: folder,
      agents: [surf, uva, vu],
      folderOf: (party) => `/volumes/${party}`,
    });
    expect(folders.map(({ node, folder: at, files }) => [node, at, files?.map(({ name }) => name)])).toEqual([
      ["toky", "/volumes/surf", []],
      ["amst", "/volumes/uva", ["2026/more.csv", "linked.csv", "persons.csv"]],
      ["losa", "/srv/vu", undefined],
    ]);
    expect(folders[1]?.files?.[2]).toEqual({
      name: "persons.csv",
      path: join(folder, "data/uva/persons.csv"),
      sha256: createHash("sha256").update("a\n").digest("hex"),
      bytes: 2,
    });
  });

  it("are where the party's volume is: on a cluster and on this machine", () => {
    const options = { users: { issuer: "https://i", audience: "a", userClaim: "sub", rolesClaim: "roles" }, dataFolders: { vu: "/srv/vu" }, images: { from: "archive", references: { } } } as const; // biome-ignore format: one line
    const images = ["agent", "api-gateway", "gateway", "orchestrator", "enforcer", "microservice", "setup"];
    const references = Object.fromEntries(images.map((name) => [name, { image: name, digest: name }]));
    const plan = planKubernetes({
      placement: { core: "core", agents: [uva, vu] },
      options: { ...options, storageClass: "fast", images: { from: "archive", references } },
    });
    const pathOf = (party: string) =>
      plan.agents[party]?.flatMap((o) => (o.kind === "PersistentVolume" ? [o.spec?.local?.path] : []));
    expect(pathOf("vu")).toEqual(["/srv/vu"]);
    expect(pathOf("uva"), "the storage class makes it").toEqual([]);
    expect(partyDataFolder("uva")).toBe("/var/lib/dynamos-fabric/dynamos-uva/data"); // biome-ignore format: one line
    const own = planKubernetes({ placement: { core: "core", agents: [uva] }, options: { ...options, images: { from: "archive", references } } }); // biome-ignore format: one line
    expect(foldersByNode(own.agents.uva ?? []).amst).toContain(partyDataFolder("uva"));
    expect(agentServiceSpec(vu, "e").env?.DATA_FOLDER).toBe("/srv/vu");
    expect(agentServiceSpec(uva, "e").env?.DATA_FOLDER).toBe("{{project}}/e/data/uva");
  });

  it("have their problems told: on a node without a party, missing here, brought by nobody", () => {
    const codes = (nodes: unknown, target: string) =>
      dataProblems(nodes, target).map(({ code, path }) => `${code} ${path}`);
    expect(codes({ core: { role: "core", data: "/x" } }, "hosts")).toEqual([
      "SPEC-DATA-ROLE nodes.core.data",
    ]);
    const nodes = { amst: { role: "agent", data: join(folder, "nowhere") } };
    expect(codes(nodes, "local")).toEqual(["SPEC-DATA-MISSING nodes.amst.data"]);
    expect(codes(nodes, "hosts")).toEqual([]);
    expect(codes({ amst: { role: "agent", data: folder } }, "local")).toEqual([]);
    const uncopied = (target: "kubernetes" | "hosts") => uncopiedData({ target }, [uva, vu, surf], folder).map(({ code, path }) => `${code} ${path}`); // biome-ignore format: one line
    expect(uncopied("kubernetes")).toEqual(["SPEC-DATA-NOT-COPIED nodes.amst"]);
    expect(uncopied("hosts")).toEqual([]);
  });
});

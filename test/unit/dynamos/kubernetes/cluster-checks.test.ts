import { describe, expect, it } from "vitest";
import {
  clusterStateProblems,
  type SeenCluster,
  type SeenRule,
} from "../../../../dynamos/kubernetes/cluster-checks.js";
import { allObjects, planKubernetes } from "../../../../dynamos/kubernetes/plan.js";
import { imagesOf, USERS } from "../../../support/random-market.js";

const objects = (storageClass?: string) =>
  allObjects(
    planKubernetes({
      placement: { core: "a", agents: [{ party: "one", node: "b", role: "agent" }] },
      options: {
        users: USERS,
        images: { from: "registry", references: imagesOf() },
        ...(storageClass === undefined ? {} : { storageClass }),
      },
    }),
  );
const node = (name: string, hostname: string | undefined = name, unwell?: string) => ({
  name,
  hostname,
  unwell,
});
const everything: SeenRule = { verbs: ["*"], apiGroups: ["*"], resources: ["*"] };
const well: SeenCluster = {
  version: "v1.34.4",
  nodes: [node("a"), node("b"), node("c", "c", "it is cordoned")],
  rules: { "dynamos-core": [everything], "dynamos-one": [everything] },
  volumes: {},
  classes: { fast: "WaitForFirstConsumer", eager: "Immediate" },
};
const look = (change: Partial<SeenCluster> = {}, storageClass?: string) => {
  const { problems, notes } = clusterStateProblems(
    objects(storageClass),
    { ...well, ...change },
    (host) => `at.${host}`,
  );
  return [...problems, ...notes].map(({ code, path }) => `${code} ${path}`);
};

describe("what a cluster says of itself", () => {
  it("is no problem where all is well, and none where it says nothing", () => {
    expect(look()).toEqual([]);
    expect(look({}, "fast")).toEqual([]);
    const silent: SeenCluster = {
      version: undefined,
      nodes: undefined,
      rules: {},
      volumes: undefined,
      classes: undefined,
    };
    expect(look(silent, "slow")).toEqual([]);
  });

  it.each([
    ["v1.27.9", ["K8S-VERSION kubernetes"]],
    ["v1.28.0", []],
    ["v1.9.11-gke.1", ["K8S-VERSION kubernetes"]],
    ["v2.0.0", []],
    ["v0.34.0", ["K8S-VERSION kubernetes"]],
  ])("is of a version that will do, or not: %s", (version, expected) => {
    expect(look({ version })).toEqual(expected);
  });

  it("is told of a node that no node has, one under another label, and one that takes no pods", () => {
    expect(look({ nodes: [node("a")] })).toEqual(["K8S-NODE-UNKNOWN at.b"]);
    expect(look({ nodes: [node("a"), node("b", "other")] })).toEqual(["K8S-NODE-HOSTNAME at.b"]);
    expect(look({ nodes: [node("a"), node("b", "b", "it is cordoned")] })).toEqual(["K8S-NODE-UNWELL at.b"]);
  });

  it("is told of a volume that lies elsewhere, gone or not", () => {
    const name =
      objects().find(({ kind, metadata }) => kind === "PersistentVolume" && metadata.name.includes("one"))
        ?.metadata.name ?? "";
    expect(look({ volumes: { [name]: "b", other: "z" } })).toEqual([]);
    expect(look({ volumes: { [name]: "c" } })).toEqual(["K8S-VOLUME-NODE at.b"]);
    expect(look({ volumes: { [name]: "z" } })).toEqual(["K8S-VOLUME-NODE at.b"]);
  });

  it("is told of a class that is not there or does not wait", () => {
    expect(look({}, "eager")).toEqual(["K8S-STORAGE-CLASS kubernetes.storageClass"]);
    expect(look({}, "slow")).toEqual(["K8S-STORAGE-CLASS kubernetes.storageClass"]);
  });

  it("is told of rights that are missing, by namespace; a right on one object alone is none", () => {
    const named = { ...everything, resourceNames: ["x"] };
    expect(look({ rules: { ...well.rules, "dynamos-one": [named] } })).toEqual([
      "K8S-NOT-ALLOWED kubernetes.context",
    ]);
    expect(look({ rules: { ...well.rules, "dynamos-one": undefined } })).toEqual([]);
    const batch: SeenRule = {
      verbs: ["*"],
      apiGroups: ["", "apps", "rbac.authorization.k8s.io", "networking.k8s.io"],
      resources: ["*"],
    };
    const { problems } = clusterStateProblems(
      objects(),
      { ...well, rules: { "dynamos-core": [batch] } },
      (host) => host,
    );
    expect(problems.map(({ message }) => message)).toEqual([
      "in dynamos-core you may not get, list, watch, create, patch, delete jobs.batch",
    ]);
  });
});

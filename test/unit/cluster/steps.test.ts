import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clusterInventory, controlOrderOf, inventoryFiles } from "../../../infra/cluster/inventory.js";
import type {
  Host,
  HostInput,
  KubesprayOptions,
  KubesprayOptionsInput,
} from "../../../infra/cluster/spec.js";
import * as steps from "../../../infra/cluster/steps.js";
import { fabric, hostsOf, optionsOf, own, privateKey } from "./hosts.js";

/** All steps of a cluster by name, put together as the component does. */
function allSteps(
  name: string,
  hosts: Record<string, Host>,
  options: KubesprayOptions,
): Record<string, steps.Step> {
  const names = Object.keys(hosts);
  const order = controlOrderOf(hosts);
  const onFabric = names.some((n) => hosts[n]?.network !== undefined);
  const pick = (control: boolean) =>
    Object.fromEntries(Object.entries(hosts).filter(([n]) => order.includes(n) === control));
  const inventory = clusterInventory(name, options, order, {
    onFabric,
    alone: order.length === names.length,
  });
  const core = inventory.core(pick(true));
  const kubespray = steps.kubesprayStep(name, order[0] ?? "", options);
  const labels = Object.fromEntries(Object.entries(hosts).map(([n, h]) => [n, h.labels]));
  return {
    ...Object.fromEntries(
      Object.entries(hosts).map(([n, h]) => [`${n}-check`, steps.checkStep(n, h, options, onFabric)]),
    ),
    key: steps.keyStep(name),
    ...Object.fromEntries(
      Object.entries(hosts).map(([n, h]) => [
        `${n}-prepare`,
        steps.prepareStep(name, n, h, options, "ssh-ed25519 AAAA"),
      ]),
    ),
    kubespray,
    apply: steps.applyStep(
      name,
      { ...core, ...inventory.members(pick(false)) },
      options,
      kubespray.hash,
      names.filter((n) => hosts[n]?.reset),
    ),
    labels: steps.labelsStep(name, labels),
    kubeconfig: steps.kubeconfigStep(name, { core, kubespray: kubespray.hash }),
    ...Object.fromEntries(
      steps.toolNames.flatMap((t) => {
        const step = steps.toolStep(t, options);
        return step === undefined ? [] : [[t, step]];
      }),
    ),
  };
}

const base = { control: fabric(1, 2, { role: "control" }), losa: fabric(2, 2), mine: own(7) };
const changed = (
  after: Readonly<Record<string, HostInput>>,
  more: KubesprayOptionsInput = {},
  before = base,
  was: KubesprayOptionsInput = {},
) => {
  const [a, b] = [
    allSteps("lab", hostsOf(before), optionsOf(was)),
    allSteps("lab", hostsOf(after), optionsOf(more)),
  ];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((n) => a[n]?.hash !== b[n]?.hash).sort();
};

describe("the steps of a cluster", () => {
  it("are the same for the same description, however its keys are ordered", () => {
    expect(changed(base)).toEqual([]);
    expect(changed({ mine: base.mine, control: base.control, losa: base.losa })).toEqual([]);
  });

  it("that run again are those that depend on what was changed, and no others", () => {
    const { control, losa, mine } = base;
    const cases: Record<string, readonly [string[], string[]]> = {
      "a new host": [changed({ ...base, toky: fabric(3, 2) }), ["apply", "toky-check", "toky-prepare"]],
      "a host that goes": [changed({ control, losa }), ["apply", "mine-check", "mine-prepare"]],
      "another address of a worker": [changed({ ...base, mine: own(8) }), ["apply"]],
      "another data address": [
        changed({ ...base, losa: fabric(2, 3) }),
        ["apply", "losa-check", "losa-prepare"],
      ],
      "another route": [
        changed({
          ...base,
          losa: { ...losa, network: { mac: "02:00:00:00:02:02", subnet: "10.132.1.0/24" } },
        }),
        ["losa-prepare"],
      ],
      labels: [changed({ ...base, mine: { ...mine, labels: { zone: "a" } } }), ["labels"]],
      "a key": [changed({ ...base, mine: { ...mine, privateKey: `${privateKey}\n` } }), []],
      "the control plane's address": [
        changed({ ...base, control: { ...control, address: "2001:db8::9" } }),
        ["apply", "kubeconfig"],
      ],
      "Kubespray's version": [
        changed(base, { kubespray: { version: "v2.30.0" } }),
        ["apply", "kubeconfig", "kubespray"],
      ],
      "Kubernetes' version": [changed(base, { kubernetes: "v1.34.3" }), ["apply", "kubeconfig"]],
      "a variable": [changed(base, { variables: { helm_enabled: true } }), ["apply", "kubeconfig"]],
      "a tool": [changed(base, { tools: { helm: { version: "v3.18.3" } } }), ["helm"]],
      "the least memory": [
        changed(base, { minimum: { ram: 4 } }),
        ["control-check", "losa-check", "mine-check"],
      ],
      resolvers: [changed(base, { nat64: false }), ["control-prepare", "losa-prepare", "mine-prepare"]],
      "the deadline": [changed(base, { deadline: "3h" }), ["apply"]],
      patience: [changed(base, { patience: "1m" }), []],
    };
    for (const [what, [is, wanted]] of Object.entries(cases)) expect(is, what).toEqual(wanted);
  });

  it("of other hosts stay the same for any host that comes", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 10, max: 200 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 201, max: 250 }),
        fc.boolean(),
        (members, newcomer, onFabric) => {
          const make = (n: number) => (onFabric ? fabric(3, n) : own(n));
          const hosts = { ...base, ...Object.fromEntries(members.map((n) => [`h${n}`, own(n)])) };
          const name = `h${newcomer}`;
          expect(changed({ ...hosts, [name]: make(newcomer) }, {}, hosts)).toEqual([
            "apply",
            `${name}-check`,
            `${name}-prepare`,
          ]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("hold no private key", () => {
    for (const [name, step] of Object.entries(allSteps("lab", hostsOf(base), optionsOf())))
      expect(step.script, name).not.toContain("PRIVATE KEY");
  });

  it("are scripts that bash reads, whatever the values are", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 40 }).filter((s) => !s.includes("\0")),
        (text) => {
          const options = optionsOf({ variables: { odd: text } });
          const { apply } = allSteps("lab", hostsOf(base), options);
          execFileSync("bash", ["-n"], { input: apply?.script ?? "" });
        },
      ),
      { numRuns: 15 },
    );
    for (const step of Object.values(allSteps("lab", hostsOf(base), optionsOf())))
      execFileSync("bash", ["-n"], { input: step.script });
  });

  it("give each host a file of its own: a worker's is the same whatever the others are", () => {
    const files = inventoryFiles("lab", hostsOf(base), optionsOf());
    const more = inventoryFiles("lab", hostsOf({ ...base, toky: fabric(3, 2) }), optionsOf());
    expect(Object.keys(files)).toEqual([
      "group_vars/all/cluster.yaml",
      "groups.yaml",
      "hosts/c01-control.yaml",
      "hosts/w-losa.yaml",
      "hosts/w-mine.yaml",
    ]);
    expect(more).toEqual({ ...files, "hosts/w-toky.yaml": more["hosts/w-toky.yaml"] });
  });

  it("take Kubespray from a tag, or from where one is told to", () => {
    expect(steps.sourceOf(optionsOf())).toBe(
      "https://github.com/kubernetes-sigs/kubespray/archive/refs/tags/v2.31.0.tar.gz",
    );
    expect(steps.sourceOf(optionsOf({ kubespray: { source: "https://mirror.example/k.tar.gz" } }))).toBe(
      "https://mirror.example/k.tar.gz",
    );
  });
});

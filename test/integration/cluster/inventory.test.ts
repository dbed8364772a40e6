import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inventoryFiles } from "../../../infra/cluster/inventory.js";
import type { HostInput, KubesprayOptionsInput } from "../../../infra/cluster/spec.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { fabric, hostsOf, optionsOf, own } from "../../unit/cluster/hosts.js";
import { ansibleVenv } from "./ansible.js";

interface Listed {
  readonly _meta: { readonly hostvars: Readonly<Record<string, Record<string, unknown>>> };
  readonly [group: string]: unknown;
}
let folder: string;
let ansible: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "inventory-"));
  ansible = join(await ansibleVenv(), "bin", "ansible-inventory");
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the real ansible-inventory makes of it. */
async function listed(
  hosts: Readonly<Record<string, HostInput>>,
  more: KubesprayOptionsInput = {},
): Promise<Listed> {
  const place = join(folder, String(number++));
  for (const [name, text] of Object.entries(inventoryFiles("lab", hostsOf(hosts), optionsOf(more)))) {
    await mkdir(dirname(join(place, name)), { recursive: true });
    await writeFile(join(place, name), text);
  }
  const env = { ...process.env, LC_ALL: "C.UTF-8", HOME: "/home/ubuntu" };
  const done = await execute(ansible, ["-i", place, "--list"], { env, timeoutMs: 60_000 });
  expect(done, done.stderr).toMatchObject({ code: 0 });
  expect(done.stderr).toBe("");
  return JSON.parse(done.stdout) as Listed;
}
const members = (list: Listed, group: string) =>
  (list[group] as { hosts?: string[]; children?: string[] } | undefined) ?? {};

describe("the inventory, as Ansible reads it", () => {
  it("of FABRIC's hosts: SSH by management, services by the data network, etcd on the control plane", async () => {
    const list = await listed({
      control: fabric(1, 2, { role: "control" }),
      losa: fabric(2, 2),
      toky: fabric(3, 2),
    });
    expect(members(list, "kube_control_plane").hosts).toEqual(["control"]);
    expect(members(list, "kube_node").hosts).toEqual(["losa", "toky"]);
    expect(members(list, "etcd").children).toEqual(["kube_control_plane"]);
    expect(list._meta.hostvars.losa).toMatchObject({
      ansible_host: "2001:400:a100:2::2",
      ansible_user: "ubuntu",
      ip: "10.132.1.2",
    });
    expect(list._meta.hostvars.control).toMatchObject({
      ansible_host: "2001:400:a100:1::2",
      ip: "10.131.1.2",
      etcd_member_name: "etcd1",
    });
    expect(list._meta.hostvars.losa?.etcd_member_name).toBeUndefined();
    // for every host alike
    for (const vars of Object.values(list._meta.hostvars)) {
      expect(vars).toMatchObject({
        kube_network_plugin: "flannel",
        flannel_interface_regexp: "enp[5-9]s\\d",
        container_manager: "containerd",
        kubeconfig_localhost: true,
        supplementary_addresses_in_ssl_keys: ["2001:400:a100:1::2", "127.0.0.1"],
        download_run_once: true,
        download_localhost: false,
      });
    }
  });

  it("of machines of one's own, with a port, and without a data network", async () => {
    const list = await listed({
      a: own(1, { role: "control", port: 2222 }),
      b: own(2, { dataAddress: "10.0.0.2" }),
    });
    expect(list._meta.hostvars.a).toMatchObject({ ansible_host: "192.0.2.1", ansible_port: 2222 });
    expect(list._meta.hostvars.a).not.toHaveProperty("ip");
    expect(list._meta.hostvars.a).not.toHaveProperty("flannel_interface_regexp");
    expect(list._meta.hostvars.b).toMatchObject({ ansible_host: "192.0.2.2", ip: "10.0.0.2" });
  });

  it("of both mixed, with three of the control plane in their order, whatever their names", async () => {
    const list = await listed({
      z: fabric(1, 2, { role: "control" }),
      a: own(1, { role: "control" }),
      m: fabric(2, 2, { role: "control" }),
      w: own(2),
    });
    expect(members(list, "kube_control_plane").hosts).toEqual(["z", "a", "m"]);
    expect(["z", "a", "m"].map((name) => list._meta.hostvars[name]?.etcd_member_name)).toEqual([
      "etcd1",
      "etcd2",
      "etcd3",
    ]);
    expect(members(list, "kube_node").hosts).toEqual(["w"]);
  });

  it("of one machine alone, which runs pods too", async () => {
    const list = await listed({ only: own(1, { role: "control" }) });
    expect(members(list, "kube_node").hosts).toEqual(["only"]);
  });

  it("goes over the data network if asked, and takes versions and variables of one's own", async () => {
    const list = await listed(
      { control: fabric(1, 2, { role: "control" }), losa: fabric(2, 2, { port: 2200 }) },
      {
        ansibleOver: "data",
        kubernetes: "v1.34.3",
        apiAddress: "api.example.org",
        variables: { helm_enabled: true },
      },
    );
    expect(list._meta.hostvars.losa).toMatchObject({
      ansible_host: "10.132.1.2",
      kube_version: "1.34.3",
      helm_enabled: true,
      supplementary_addresses_in_ssl_keys: ["api.example.org", "2001:400:a100:1::2", "127.0.0.1"],
      artifacts_dir: "{{ lookup('env', 'HOME') }}/.dynamos-fabric/lab/artifacts",
    });
    expect(list._meta.hostvars.losa).not.toHaveProperty("ansible_port");
  });
});

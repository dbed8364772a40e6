/**
 * A collection of playbooks with Kubespray's entry points, run by the real Ansible: what joins or leaves is written down on the hosts, as root, and in
 * a little "API" on the first host of the control plane, so that tests see what was done to whom, how often.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  type KubesprayOptions,
  type KubesprayOptionsInput,
  kubesprayOptionsSchema,
} from "../../../infra/cluster/spec.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { ansibleCore, ansibleVenv } from "./ansible.js";

/** On a host: playbooks that changed it, one a line. */
export const touched = "/var/lib/stub/touched";
/** On a host: this file makes its task fail. */
export const failFile = "/tmp/stub-fail";
/** On a host: seconds that its task takes. */
export const slowFile = "/tmp/stub-slow";
/** On the control node: a file for each node of the "API". */
export const nodesFolder = "/etc/kubernetes/nodes";
/** On the control node: playbooks that were at work at the same time. */
export const clash = "/var/lib/stub/clash";

const files: Readonly<Record<string, string>> = {
  "requirements.txt": `${ansibleCore}\n`,
  "ansible.cfg":
    "[defaults]\nhost_key_checking = False\ngathering = explicit\nretry_files_enabled = False\n[ssh_connection]\npipelining = True\n",
  "playbooks/facts.yml": `
- name: Gather facts
  hosts: k8s_cluster:etcd
  gather_facts: false
  tasks:
    - name: Gather minimal facts
      ansible.builtin.setup:
        gather_subset: "!all"
`,
  "join.yml": `
- name: Alone
  hosts: "{{ who }}"
  gather_facts: false
  tasks:
    - name: Take the lock
      run_once: true
      delegate_to: "{{ groups['kube_control_plane'][0] }}"
      ansible.builtin.shell: mkdir -p /var/lib/stub && mkdir /var/lib/stub/lock 2>/dev/null || echo "{{ entry }}" >>${clash}
- name: Install nodes
  hosts: "{{ who }}"
  gather_facts: false
  tasks:
    - name: Take its time
      ansible.builtin.shell: "! [ -e ${slowFile} ] || sleep $(cat ${slowFile})"
    - name: Install kubelet
      ansible.builtin.shell: |
        if [ -e ${failFile} ]; then cat ${failFile} >&2; exit 1; fi
        mkdir -p /var/lib/stub && echo "{{ entry }}" >>${touched} && printf '%s %s' "{{ inventory_hostname }}" "{{ ip | default('none') }}" >/var/lib/stub/member
    - name: Join
      delegate_to: "{{ groups['kube_control_plane'][0] }}"
      ansible.builtin.shell: mkdir -p ${nodesFolder} && echo "{{ ip | default('none') }}" >${nodesFolder}/{{ inventory_hostname }}
- name: Control plane
  hosts: kube_control_plane
  gather_facts: false
  tasks:
    - name: Configure
      ansible.builtin.shell: |
        mkdir -p /etc/kubernetes "{{ artifacts_dir }}"
        cat >/etc/kubernetes/admin.conf <<'END'
        apiVersion: v1
        kind: Config
        clusters: [{name: cluster.local, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}]
        users: [{name: kubernetes-admin, user: {client-key-data: S0VZ}}]
        contexts: [{name: admin@cluster.local, context: {cluster: cluster.local, user: kubernetes-admin}}]
        current-context: admin@cluster.local
        END
        cp /etc/kubernetes/admin.conf "{{ artifacts_dir }}/admin.conf"
        printf '#!/bin/sh\\necho "$@" >>/var/lib/stub/kubectl\\n' >/usr/local/bin/kubectl
        chmod 755 /usr/local/bin/kubectl
- name: The end
  hosts: k8s_cluster
  gather_facts: false
  tasks:
    - name: Leave the lock
      run_once: true
      delegate_to: "{{ groups['kube_control_plane'][0] }}"
      ansible.builtin.shell: rmdir /var/lib/stub/lock
    - name: Well
      ansible.builtin.debug:
        msg: well
`,
  "cluster.yml": "- import_playbook: join.yml\n  vars: { who: k8s_cluster, entry: cluster }\n",
  "upgrade-cluster.yml": "- import_playbook: join.yml\n  vars: { who: k8s_cluster, entry: upgrade }\n",
  "scale.yml": "- import_playbook: join.yml\n  vars: { who: kube_node, entry: scale }\n",
  "remove-node.yml": `
- name: Confirm
  hosts: "{{ node }}"
  gather_facts: false
  tasks:
    - name: Confirm
      ansible.builtin.assert:
        that: skip_confirmation | default(false) | bool
- import_playbook: playbooks/facts.yml
  when: reset_nodes | default(true) | bool
- name: Remove
  hosts: "{{ node }}"
  gather_facts: false
  tasks:
    - name: Drain
      delegate_to: "{{ groups['kube_control_plane'][0] }}"
      ansible.builtin.shell: echo "drain {{ node }} ungraceful={{ allow_ungraceful_removal | default(false) }}" >>/var/lib/stub/drains
    - name: Reset
      ansible.builtin.shell: rm /var/lib/stub/member && echo remove >>${touched}
      when: reset_nodes | default(true) | bool
    - name: Delete
      delegate_to: "{{ groups['kube_control_plane'][0] }}"
      ansible.builtin.file: { path: "${nodesFolder}/{{ node }}", state: absent }
`,
  "reset.yml": `
- name: Reset
  hosts: k8s_cluster
  gather_facts: false
  tasks:
    - name: Confirm
      ansible.builtin.assert:
        that: reset_confirmation | default(false) | bool
    - name: Reset
      ansible.builtin.shell: rm -f /var/lib/stub/member; echo reset >>${touched}
`,
};

/** Options of a cluster with a source of playbooks that is on the nodes already: every node has the cache. */
export async function stubOptions(more: KubesprayOptionsInput = {}): Promise<KubesprayOptions> {
  return kubesprayOptionsSchema.parse({
    kubespray: { version: "v2.31.0", source: await writeStub() },
    outbound: ["http://127.0.0.1:22"],
    minimum: { ram: 0.5, disk: 1 },
    tools: { k9s: false, helm: false },
    deadline: "5m",
    ...more,
  });
}

/** Writes the collection as the archive of a tag would be, everything in one folder. @returns its URL */
async function writeStub(): Promise<string> {
  const archive = join(await ansibleVenv(), "stubs", `${process.pid}.tar.gz`);
  const folder = `${archive}.d`;
  rmSync(folder, { recursive: true, force: true });
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, "kubespray-stub", name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const { code, stderr } = await execute("tar", ["-czf", archive, "-C", folder, "kubespray-stub"]);
  if (code !== 0) throw new Error(stderr);
  return `file://${archive}`;
}

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sshHosts } from "../../../infra/fabric/slice-logins.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { loginOf, sshConfig } from "../../../infra/fabric/ssh-config.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { InfraError } from "../../../infra/problem.js";
import { fabnetSlice } from "../emulator/graphs.js";
import { World } from "../emulator/world.js";

const bastion = { host: "bastion.fabric-testbed.net", user: "ada_0001", keyFile: "/home/ada/keys/bastion" };
const keys = { sliceKeyFile: "/home/ada/my keys/slice" };
const host = { name: "control", address: "2001:400:a100:3000::1", user: "ubuntu" };

const problemsOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof InfraError) return error.problems.map((p) => `${p.code} ${p.path}`);
    throw error;
  }
  return [];
};

describe("sshConfig", () => {
  it("is FABlib's: a block for the bastion, and everything else through it", () => {
    const text = sshConfig([host], keys, bastion);
    const blocks = text.split("\n\n").filter((block) => block.startsWith("Host "));
    expect(blocks.map((block) => block.split("\n")[0])).toEqual([
      "Host bastion.fabric-testbed.net",
      "Host control",
      "Host * !bastion.fabric-testbed.net",
    ]);
    expect(blocks[0]).toMatch(/^ {4}User ada_0001$/m);
    expect(blocks[0]).toMatch(/^ {4}IdentityFile "\/home\/ada\/keys\/bastion"$/m);
    expect(blocks[0]).not.toContain("ProxyJump");
    expect(blocks[1]).toMatch(/^ {4}HostName 2001:400:a100:3000::1$/m);
    expect(blocks[2]).toMatch(/^ {4}ProxyJump ada_0001@bastion.fabric-testbed.net:22$/m);
    expect(blocks[2]).toMatch(/^ {4}IdentityFile "\/home\/ada\/my keys\/slice"$/m);
  });

  it("names a block for each host, in order, whatever their number", () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_][\w.-]{1,20}$/);
    fc.assert(
      fc.property(fc.uniqueArray(name), fc.ipV6(), (names, address) => {
        const hosts = names.map((n) => ({ ...host, name: n, address }));
        const found = [...sshConfig(hosts, keys, bastion).matchAll(/^Host (\S+)$/gm)].map((m) => m[1]);
        expect(found).toEqual([bastion.host, ...names]);
      }),
    );
  });

  it("never lets a value become another line or another setting", () => {
    const nasty = [..."\n\r\0\t\u2028 \"'\\%{}$#*!=,:[]-/aé"];
    const any = fc.string({ unit: fc.constantFrom(...nasty) });
    fc.assert(
      fc.property(any, any, any, any, (name, address, user, file) => {
        let text: string;
        try {
          text = sshConfig(
            [{ name, address, user }],
            { sliceKeyFile: file, knownHostsFile: file, configFile: file },
            { ...bastion, keyFile: file },
          );
        } catch (error) {
          if (error instanceof InfraError) return;
          throw error;
        }
        const kinds = text.split("\n").map((line) => line.trim().split(" ")[0]);
        const same = sshConfig([host], { ...keys, knownHostsFile: "/k" }, bastion);
        const proxy = (kind: string | undefined) => (kind === "ProxyCommand" ? "ProxyJump" : kind);
        expect(kinds.map(proxy)).toEqual(same.split("\n").map((line) => line.trim().split(" ")[0]));
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ["a pattern for a name", { ...host, name: "*" }, ["FAB-SSH-CONFIG hosts.*"]],
    ["an option for a user", { ...host, user: "-oProxyCommand=x" }, ["FAB-SSH-CONFIG hosts.control.user"]],
    ["an address in brackets", { ...host, address: "[::1]" }, ["FAB-SSH-CONFIG hosts.control.address"]],
    ["the bastion's name", { ...host, name: bastion.host }, [`FAB-SSH-CONFIG hosts.${bastion.host}`]],
  ])("refuses %s", (_, wrong, expected) => {
    expect(problemsOf(() => sshConfig([wrong], keys, bastion))).toEqual(expected);
  });

  it("tells all that is wrong at once", () => {
    const wrong = () =>
      sshConfig(
        [host, host, { ...host, name: "a b" }],
        { sliceKeyFile: 'a"b' },
        { ...bastion, keyFile: ["$", "{HOME}/key"].join("") },
      );
    expect(problemsOf(wrong)).toEqual([
      "FAB-SSH-CONFIG hosts.control",
      "FAB-SSH-CONFIG hosts.a b",
      "FAB-SSH-CONFIG bastion.keyFile",
      "FAB-SSH-CONFIG sliceKeyFile",
    ]);
  });
});

describe("sshHosts", () => {
  it("are the nodes that have an address, as their images are logged in to, or as the emulator says", () => {
    const world = new World();
    const id = world.create(
      "logins",
      fabnetSlice([
        { name: "one", site: "AMST" },
        { name: "two", site: "LOSA" },
      ]),
    );
    expect(sshHosts(fromGraph(world.graphOf(id)))).toEqual([]);
    world.wait();
    const view = fromGraph(world.graphOf(id));
    const [one, two] = view.nodes.map((n) => ({
      address: n.managementIp,
      hostKeyAlias: n.reservation.id ?? "",
    }));
    expect(sshHosts(view, { [two?.hostKeyAlias ?? ""]: { user: "me", port: 4022 } })).toEqual([
      { name: "one", user: "ubuntu", ...one },
      { name: "two", user: "me", port: 4022, ...two },
    ]);
  });
});

describe("loginOf", () => {
  it.each([
    ["default_ubuntu_22", "ubuntu"],
    ["default_rocky_9", "rocky"],
    ["default_centos8_stream", "centos"],
    ["default_centos9_stream", "cloud-user"],
    ["default_debian_12,qcow2", "debian"],
    ["docker_rocky_8", "rocky"],
    ["attestable_bmv2_v2_ubuntu_20", "ubuntu"],
    ["something else", "ubuntu"],
  ])("%s: %s", (image, login) => expect(loginOf(image)).toBe(login));
});

describe("makeSshKeyPair", () => {
  it("makes a key of OpenSSH's form whose public half is inside its private one, never twice the same", () => {
    const pairs = Array.from({ length: 20 }, (_, i) => makeSshKeyPair("c".repeat(i)));
    expect(new Set(pairs.map((p) => p.publicKey)).size).toBe(20);
    for (const [i, { privateKey, publicKey }] of pairs.entries()) {
      const [type, blob = "", comment] = publicKey.split(" ");
      expect([type, comment]).toEqual(["ssh-ed25519", "c".repeat(i)]);
      const body = Buffer.from(privateKey.split("\n").slice(1, -2).join(""), "base64");
      expect(body.subarray(0, 15).toString()).toBe("openssh-key-v1\0");
      expect(body.includes(Buffer.from(blob, "base64"))).toBe(true);
      expect(privateKey.split("\n").every((line) => line.length <= 70)).toBe(true);
    }
  });
});

import { execFileSync, spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PluggedCard, planCards } from "../../../infra/fabric/emulator/hosts-network.js";
import { hostSettings } from "../../../infra/fabric/emulator/hosts-settings.js";
import {
  passwdFor,
  sessionScript,
  sshdConfig,
  sudoScript,
} from "../../../infra/fabric/emulator/hosts-sshd.js";
import { shellWord } from "../../../infra/shell-word.js";

describe("planCards", () => {
  it("keeps a card's name as long as it is there, and gives new ones the lowest that is free", () => {
    let links = 0;
    const newLink = () => `v${links++}`;
    const card = fc.record({
      mac: fc.constantFrom("m0", "m1", "m2", "m3", "m4"),
      network: fc.constantFrom("a", "b"),
    });
    const cards = fc.uniqueArray(card, { selector: (c) => c.mac });
    fc.assert(
      fc.property(fc.array(cards), (steps) => {
        let before: readonly PluggedCard[] = [];
        for (const wanted of steps) {
          const change = planCards(before, wanted, newLink);
          expect(change.cards.map(({ mac, network }) => ({ mac, network }))).toEqual(wanted);
          expect(new Set(change.cards.map((c) => c.name)).size).toBe(wanted.length);
          for (const c of change.cards) {
            const old = before.find((b) => b.mac === c.mac);
            expect(change.add.includes(c)).toBe(old === undefined);
            expect(change.move.includes(c)).toBe(old !== undefined && old.network !== c.network);
            if (old !== undefined) expect([c.name, c.link]).toEqual([old.name, old.link]);
          }
          expect(change.remove).toEqual(before.filter((b) => !wanted.some((w) => w.mac === b.mac)));
          before = change.cards;
        }
      }),
    );
    const first = planCards([], [{ mac: "x" }, { mac: "y" }, { mac: "z" }, { mac: "w" }], newLink);
    expect(first.cards.map((c) => c.name)).toEqual(["enp7s0", "enp8s0", "enp9s0", "enp10s0"]);
  });
});

describe("texts of a host", () => {
  it("name root a second time after the image's user, and sshd's own user once", () => {
    const system =
      "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/x\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n";
    const lines = passwdFor(system, "ubuntu", "/a b/home", "/bin/bash").trimEnd().split("\n");
    expect(lines).toEqual([
      "root:x:0:0:root:/root:/bin/bash",
      "sshd:*:65534:65534::/run/sshd:/usr/sbin/nologin",
      "ubuntu:*:0:0::/a b/home:/bin/bash",
    ]);
  });

  it("let a node's server do what a bastion's must not", () => {
    const node = sshdConfig({ folder: "/f", login: "ubuntu", env: { A: 'b "c"' } });
    expect(node).toContain("PermitTTY yes");
    expect(node).toContain("Subsystem sftp internal-sftp");
    expect(node).toContain('SetEnv "A=b \\"c\\""');
    const bastion = sshdConfig({ folder: "/f", login: "bastion", env: {}, forwardOnly: true });
    expect(bastion).toMatch(/^PermitTTY no$/m);
    expect(bastion).toMatch(/^AllowTcpForwarding local$/m);
    expect(bastion).toMatch(/^ForceCommand echo/m);
    expect(bastion).not.toMatch(/Subsystem|SetEnv|AcceptEnv/);
  });

  it("a word for the shell is that word again", () => {
    fc.assert(
      fc.property(
        fc.string().filter((s) => !s.includes("\0")),
        (word) => {
          const said = execFileSync("/bin/sh", ["-c", `printf %s ${shellWord(word)}`], { encoding: "utf8" });
          expect(said).toBe(word);
        },
      ),
      { numRuns: 20 },
    );
  });

  const sh = (script: string, args: readonly string[], env: Record<string, string> = {}) =>
    // not execFileSync, which takes a script that reads no input for a failure
    spawnSync("/bin/sh", ["-c", script, "sh", ...args], {
      encoding: "utf8",
      env: { PATH: process.env.PATH ?? "", SHELL: "/bin/sh", ...env },
      input: "echo from a shell\n",
    }).stdout.trim();

  it("sudo without sudo takes the options that Ansible gives and runs the rest", () => {
    expect(sh(sudoScript, ["-H", "-S", "-n", "-u", "root", "/bin/sh", "-c", "echo $0 $1", "a", "b"])).toBe(
      "a b",
    );
    expect(sh(sudoScript, ["-n", "NAME=of mine", "sh", "-c", 'echo "$NAME"'])).toBe("of mine");
    expect(sh(sudoScript, ["--", "echo", "-n", "-x"])).toBe("-x");
    expect(sh(sudoScript, ["-i"])).toBe("from a shell");
  });

  it("a session starts in the node's home, runs what was asked for, or a shell", () => {
    const script = sessionScript("/bin/echo");
    expect(sh(script, [], { HOME: "/", SSH_ORIGINAL_COMMAND: 'pwd; echo "a  b"' })).toBe("/\na  b");
    expect(sh(script, [], { HOME: "/" })).toBe("from a shell");
    expect(sh(script, [], { HOME: "/", SSH_ORIGINAL_COMMAND: "dynamos-fabric-sftp" })).toBe("");
  });
});

describe("hostSettings", () => {
  it("are none by default; arguments go before the environment", () => {
    expect(hostSettings([], {}, "/s/state.json")).toBeUndefined();
    expect(hostSettings(["--hosts", "none"], { HOSTS: "loopback" }, "/s/state.json")).toBeUndefined();
    expect(hostSettings([], { HOSTS: "loopback", BASTION_KEYS_FILE: "/k" }, "/s/state.json")).toEqual({
      ...{ mode: "loopback", management: "ipv4", folder: "/s/hosts", bastionKeysFile: "/k" },
    });
    expect(hostSettings(["--hosts=namespaces", "--management=ipv6"], { HOSTS_FOLDER: "/h" }, "/s/x")).toEqual(
      {
        ...{ mode: "namespaces", management: "ipv6", folder: "/h" },
      },
    );
  });

  it.each([[["--hosts", "docker"]], [["--management", "ipx"]], [["--host"]], [["stray"]]])(
    "refuse %j",
    (args) => {
      expect(() => hostSettings(args, {}, "/s/x")).toThrow(/FAB-EMU-ENV/);
    },
  );
});

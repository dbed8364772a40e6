import { writeFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type SshHost, sshConfig, writeSshConfig } from "../../../infra/fabric/ssh-config.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { ensure } from "../../../infra/toolchain/tools.js";

/** ssh itself says how it reads a configuration (`ssh -G`, which connects to nobody). */
describe("ssh_config as OpenSSH reads it", { timeout: 120_000 }, () => {
  let folder: string;
  let ssh: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ssh config "));
    ssh = (await ensure(["ssh"])).ssh.path;
  }, 300_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function settings(file: string, host: string): Promise<ReadonlyMap<string, string>> {
    const { code, stdout, stderr } = await execute(ssh, ["-G", "-F", file, host]);
    if (code !== 0) throw new Error(stderr);
    return new Map(
      stdout.split("\n").map((line) => {
        const space = line.indexOf(" ");
        return [line.slice(0, space), line.slice(space + 1)];
      }),
    );
  }

  const word = fc.stringMatching(/^[A-Za-z0-9_][\w.-]{1,12}$/);
  const path = fc
    .array(fc.stringMatching(/^[\w .,%#'()$=-]{1,10}$/), { minLength: 1, maxLength: 3 })
    .map((parts) => `/${parts.join("/")}`);
  // as everybody writes it: ssh would write it so
  const ipv6 = fc.integer({ min: 1, max: 65_535 }).map((n) => `2001:db8::${n.toString(16)}`);
  const someHost = fc.record({
    name: word,
    address: fc.oneof(fc.ipV4(), ipv6),
    user: word,
    port: fc.integer({ min: 1, max: 65_535 }),
    hostKeyAlias: fc.uuid(),
  });
  const hosts = fc.uniqueArray(someHost, { minLength: 1, maxLength: 3, selector: (h) => h.name });

  it("is what was asked for: each node by its name, through the bastion, with its keys", async () => {
    await fc.assert(
      fc.asyncProperty(hosts, path, path, path, word, async (drawn, slice, known, bastionKey, user) => {
        const bastion = { host: "bastion.example", user, keyFile: bastionKey };
        const file = join(folder, "config");
        writeFileSync(file, sshConfig(drawn, { sliceKeyFile: slice, knownHostsFile: known }, bastion));
        const doubled = (text: string) => text.replaceAll("%", "%%");
        const host = drawn.at(-1) as SshHost;
        const [node, jump] = await Promise.all([settings(file, host.name), settings(file, bastion.host)]);
        expect(node.get("hostname")).toBe(host.address);
        expect(node.get("user")).toBe(host.user);
        expect(node.get("port")).toBe(String(host.port));
        expect(node.get("hostkeyalias")).toBe(host.hostKeyAlias);
        expect(node.get("identityfile")).toBe(doubled(slice));
        expect(node.get("userknownhostsfile")).toBe(known);
        expect(node.get("proxyjump")).toMatch(new RegExp(`^${user}@bastion.example(:22)?$`));
        expect(jump.get("user")).toBe(user);
        expect(jump.get("identityfile")).toBe(doubled(bastionKey));
        expect(jump.has("proxyjump")).toBe(false);
      }),
      {
        numRuns: 15,
        examples: [
          [
            [{ name: "n", address: "::1", user: "u", port: 22, hostKeyAlias: "k" }],
            "/a b/100%",
            "/k",
            "/it's",
            "u",
          ],
        ],
      },
    );
  });

  it("is its owner's alone, and the bastion is reached with IPv6 too", async () => {
    const file = join(folder, "below", "config of one");
    const key = join(folder, "key");
    writeFileSync(key, makeSshKeyPair("k").privateKey, { mode: 0o600 });
    const host = { name: "one", address: "2001:db8::2", user: "ubuntu" };
    writeSshConfig(
      file,
      [host],
      { sliceKeyFile: key },
      { host: "2001:db8::1", user: "ada", keyFile: key, port: 2222 },
    );
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const node = await settings(file, "one");
    // the path has a space, which ssh would hand to the shell as it is
    expect(node.get("proxycommand")).toBe(`ssh -F '${file}' -W '[%h]:%p' 2001:db8::1`);
    expect((await settings(file, "2001:db8::1")).get("port")).toBe("2222");
  });
});

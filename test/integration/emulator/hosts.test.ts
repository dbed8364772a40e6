import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { chmod, chown, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { namespacesProblem } from "../../../infra/fabric/emulator/hosts-namespaces.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { cacheFolder } from "../../../infra/toolchain/cache.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { fabnetSlice } from "../../unit/emulator/graphs.js";
import { HostsLab, patienceSeconds, prepare } from "./hosts-lab.js";
import { until } from "./until.js";

const limit = { timeout: 300_000 };

let folder: string;
let program: string;
let ssh: string;
const labs: HostsLab[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "100% emulated hosts ")); // a space and a sign of ssh's on purpose
  program = join(folder, "main.js");
  ssh = await prepare(program);
}, 300_000);
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.end("SIGTERM");
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

async function started(name: string, ...args: string[]): Promise<HostsLab> {
  const lab = new HostsLab(program, ssh, join(folder, name), args);
  labs.push(lab);
  await lab.start();
  return lab;
}

/** Processes of this machine that belong to an emulator's hosts. */
function marked(lab: HostsLab): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(
          `DYNAMOS_FABRIC_HOST=${lab.hostsFolder}:`,
        );
      } catch {
        return false; // ended in between
      }
    })
    .map(Number);
}

const isAlive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};
const gone = (what: string, pids: readonly number[]): Promise<number[]> =>
  until(
    `end of ${what}`,
    async () => pids.filter(isAlive),
    (left) => left.length === 0,
    patienceSeconds,
  );

/** Whether anybody answers there. */
const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("close", () => resolve(false));
    socket.once("error", () => resolve(false));
  });

const twoNodes = fabnetSlice([
  { name: "one", site: "AMST" },
  { name: "two", site: "LOSA" },
]);

describe("hosts on loopback addresses", limit, () => {
  it("are logged in to by name through the bastion, each in a folder of its own", async () => {
    const lab = await started("login", "--hosts", "loopback");
    const id = await lab.create("login", twoNodes);
    const addresses = fromGraph(await lab.graph(id)).nodes.map((n) => [n.name, n.managementIp]);
    expect(addresses).toEqual(["one", "two"].map((name) => [name, lab.host(name).address]));
    const said = await Promise.all(
      ["one", "two"].map((name) => lab.ssh(name, `printf %s ${name} >mark; echo "$USER"; pwd; exit 7`)),
    );
    expect(said.map(({ code, stdout }) => [code, stdout])).toEqual(
      ["one", "two"].map((name) => [7, `${lab.host(name).user}\n${join(lab.host(name).folder, "home")}\n`]),
    );
    expect(await lab.on("two", "cat ~/mark")).toBe("two");
  });

  it("open to the slice's key and the bastion's alone, and the bastion runs nothing", async () => {
    const lab = await started("keys", "--hosts", "loopback");
    await lab.create("keys", twoNodes);
    const other = lab.newKey("other key");
    const refused = { code: 255, stderr: expect.stringContaining("Permission denied (publickey)") };
    const [slice, bastion, slices, command] = await Promise.all([
      lab.ssh("one", "true", { slice: other }),
      lab.ssh("one", "true", { bastion: other }),
      lab.ssh("one", "true", { bastion: join(lab.folder, "slice key") }),
      lab.ssh(lab.record.bastion.host, "cat /etc/passwd"),
    ]);
    expect([slice, bastion, slices]).toEqual([1, 2, 3].map(() => expect.objectContaining(refused)));
    expect(command).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("only passes connections on"),
    });
    expect((await lab.ssh("one", "true")).code).toBe(0);
  });

  it("go with their node, and all that runs on them; come back with their files after a kill -9", async () => {
    const lab = await started("removal", "--hosts", "loopback");
    const id = await lab.create("removal", twoNodes);
    const start = (name: string) =>
      lab.on(name, "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; echo kept >file");
    const [sleepsOnOne, sleepsOnTwo] = (await Promise.all([start("one"), start("two")])).map(Number);
    const sleepers = { one: sleepsOnOne ?? 0, two: sleepsOnTwo ?? 0 };
    const { address, port } = lab.host("two");
    expect(await answers(address, port)).toBe(true);

    await lab.modify(id, fabnetSlice([{ name: "one", site: "AMST" }]));
    await until(
      "a record without two",
      async () => lab.record.hosts.map((h) => h.name),
      (names) => names.join() === "one",
      patienceSeconds,
    );
    if (process.platform === "linux") await gone("what ran on two", [sleepers.two]);
    expect(await answers(address, port)).toBe(false);
    expect(isAlive(sleepers.one)).toBe(process.platform === "linux");

    const before = lab.host("one");
    await lab.end("SIGKILL");
    expect(await answers(before.address, before.port)).toBe(false);
    await lab.start();
    await lab.hostsAre("up");
    expect(lab.host("one")).toEqual(before);
    if (process.platform === "linux") await gone("what ran before the kill", [sleepers.one]);
    expect(await lab.on("one", "cat file")).toBe("kept");
    expect(readdirSync(join(lab.hostsFolder, "nodes"))).toEqual([before.id]);

    expect(await lab.end("SIGTERM")).toBe(0);
    expect(lab.record.hosts).toEqual([]);
    if (process.platform === "linux") expect(marked(lab)).toEqual([]);
  });
});

describe("hosts of somebody who is not root", limit, () => {
  it("are logged in to as that person, on ports of their own where 22 is not to be had", async () => {
    const place = join(folder, "somebody");
    await mkdir(place);
    const who = userInfo().uid === 0 ? await runAsSomebody(place) : { before: [], cache: undefined };
    const lab = new HostsLab(program, ssh, place, ["--hosts", "loopback"], who.before, who.cache);
    labs.push(lab);
    await lab.start();
    await lab.create("somebody", twoNodes);
    const { user, port, folder: own } = lab.host("one");
    expect(lab.record.logins).toBe("own user");
    expect(user).toBe(userInfo().uid === 0 ? "somebody" : userInfo().username);
    const open = process.platform === "linux" && lowestFreePort() <= 22;
    expect(port === 22).toBe(open);
    expect(await lab.on("one", 'echo "$HOME"; pwd; id -un; echo x >mark')).toBe(
      `${join(own, "home")}\n${join(own, "home")}\n${user}`,
    );
    expect(await lab.on("two", "ls")).toBe("");
    expect(await lab.ssh("one", "true", { slice: lab.newKey("other key") })).toMatchObject({ code: 255 });
  });

  /** Source: ip-sysctl, ip_unprivileged_port_start. */
  const lowestFreePort = () => Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));

  /** A user with a shell and no rights, in a mount namespace where it has one; and what it may read. */
  async function runAsSomebody(place: string) {
    const passwd = join(folder, "passwd");
    await writeFile(
      passwd,
      `${readFileSync("/etc/passwd", "utf8")}somebody:*:4242:4242::/nonexistent:/bin/sh\n`,
    );
    const cache = join(folder, "cache");
    const unit = join(cacheFolder(), "openssh");
    if (existsSync(unit)) await cp(unit, join(cache, "openssh"), { recursive: true, verbatimSymlinks: true });
    await chmod(folder, 0o755);
    await chown(place, 4242, 4242);
    const script = `mount --bind "$0" /etc/passwd && exec setpriv --reuid 4242 --regid 4242 --clear-groups -- "$@"`;
    return { before: ["unshare", "--mount", "sh", "-c", script, passwd], cache };
  }
});

describe("hosts in network namespaces", limit, () => {
  let problem: string | undefined;
  beforeAll(async () => {
    problem = await namespacesProblem();
  });

  const sites = ["AMST", "LOSA", "TOKY"];
  const nodes = sites.map((site) => ({ name: site.toLowerCase(), site }));

  /** What stands in the machine's own network. */
  const machine = async () => {
    const links = await execute("ip", ["-o", "link"]);
    const names = await execute("ip", ["netns", "list"]);
    return {
      links: links.stdout.split("\n").map((line) => line.split(": ")[1]),
      namespaces: names.stdout,
      forwarding: readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
      hostname: readFileSync("/proc/sys/kernel/hostname", "utf8"),
    };
  };
  const networkOf = (pid: number | undefined) => readlinkSync(`/proc/${pid}/ns/net`);

  it("have their cards with FABRIC's MAC addresses, and reach each other over the router once configured", async ({
    skip,
  }) => {
    skip(problem !== undefined, problem);
    const before = await machine();
    const lab = await started("namespaces", "--hosts", "namespaces");
    const id = await lab.create("three", fabnetSlice(nodes));
    const view = fromGraph(await lab.graph(id));
    expect(new Set([process.pid, ...lab.record.hosts.map((h) => h.pid)].map(networkOf)).size).toBe(4);

    const configured = view.nodes.map(async ({ name, mac, dataAddress, managementIp }) => {
      const gateway = view.networks.find((n) => n.nodes.includes(name))?.gateway;
      const [addresses = "", ...names] = (
        await lab.on(
          name,
          `ip -j addr; hostname; cat /etc/hostname; sudo ip addr add ${dataAddress}/24 dev enp7s0 &&
            sudo ip link set enp7s0 up && sudo ip route add 10.128.0.0/10 via ${gateway} && echo "192.0.2.1 ${name}" >>/etc/hosts`,
        )
      ).split("\n");
      const found = JSON.parse(addresses) as readonly {
        readonly ifname: string;
        readonly address: string;
        readonly addr_info: readonly { readonly local?: string }[];
      }[];
      const card = found.find((link) => link.ifname === "enp7s0");
      expect(card?.address).toBe(mac?.toLowerCase());
      expect(card?.addr_info).toEqual([]); // FABRIC does not configure them
      expect(found.find((link) => link.ifname === "enp3s0")?.addr_info[0]?.local).toBe(managementIp);
      expect(names).toEqual([name, name]);
    });
    await Promise.all(configured);
    const greet = (addresses: readonly (string | undefined)[]) =>
      `for a in ${addresses.join(" ")}; do bash -c 'read -r line </dev/tcp/'$a'/22; echo "\${line%?}"'; done; grep 192.0.2.1 /etc/hosts`;
    const greetings = await Promise.all(
      view.nodes.map(({ name }) => lab.on(name, greet(view.nodes.map((to) => to.dataAddress)))),
    );
    for (const [i, text] of greetings.entries()) {
      // a write to a system's file is the node's own
      expect(text).toMatch(new RegExp(`^(SSH-2\\.0-\\S+.*\n){3}192\\.0\\.2\\.1 ${view.nodes[i]?.name}$`));
    }
    expect(readFileSync("/etc/hosts", "utf8")).not.toContain("192.0.2.1");

    const [amst, losa, toky] = nodes.map(({ name }) => lab.host(name));
    await lab.modify(id, fabnetSlice(nodes.slice(0, 2)));
    await gone("tokyo's namespaces", [toky?.pid ?? 0]);
    expect([amst, losa].map((h) => lab.host(h?.name ?? ""))).toEqual([amst, losa]);
    const data = view.nodes.find((n) => n.name === "losa")?.dataAddress;
    expect(await lab.on("amst", greet([data]))).toMatch(/^SSH/);

    const networks = [amst, losa].map((h) => networkOf(h?.pid));
    const all = marked(lab);
    await lab.end("SIGKILL");
    await gone("all hosts with their emulator", all);
    await lab.start();
    await lab.hostsAre("up");
    expect(lab.record.hosts.map((h) => [h.name, h.state])).toEqual([
      ["amst", "up"],
      ["losa", "up"],
    ]);
    expect(lab.record.hosts.map((h) => networkOf(h.pid))).not.toEqual(networks);
    // its disk survives, what was set by hand does not
    expect(await lab.on("amst", "grep 192.0.2.1 /etc/hosts; ip -br addr show dev enp7s0")).toMatch(
      /^192.0.2.1 amst\nenp7s0@\S+ +DOWN$/,
    );

    const holders = marked(lab);
    expect(await lab.end("SIGTERM")).toBe(0);
    await gone("the namespaces", holders);
    expect(marked(lab)).toEqual([]);
    expect(await machine()).toEqual(before);
  });

  it("have IPv6 management addresses if asked, reboot when told, and stay off after a power cut", async ({
    skip,
  }) => {
    skip(problem !== undefined, problem);
    const lab = await started("ipv6", "--hosts", "namespaces", "--management", "ipv6");
    const id = await lab.create("six", twoNodes);
    const one = lab.host("one");
    expect(one.address).toMatch(/^2001:400:a100:/);
    expect(
      await lab.on("one", "echo kept >file; sudo ip link set enp7s0 up; ip -4 -o addr show dev enp3s0"),
    ).toBe("");
    process.kill(one.pid ?? 0, "SIGKILL");
    await until(
      "a host that is off",
      async () => lab.host("one"),
      (host) => host.state === "down",
      patienceSeconds,
    );
    const [off, on] = await Promise.all([
      lab.ssh("one", "true", { connectSeconds: 2 }),
      lab.ssh("two", "true"),
    ]);
    expect([off.code, on.code]).toEqual([255, 0]);

    await lab.reboot(one.id);
    const again = await until(
      "a host that is on again",
      async () => lab.host("one"),
      (host) => host.state === "up",
      patienceSeconds,
    );
    expect(again.pid).not.toBe(one.pid);
    expect(await lab.on("one", "cat file; ip -br link show dev enp7s0")).toMatch(/^kept\nenp7s0\S* +DOWN/);
    expect((await lab.slivers(id)).every((s) => s.state === "Active")).toBe(true);
  });
});

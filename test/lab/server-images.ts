/** Images of the broker and the store where no registry is: Debian's packages in an empty file system, with a shell for the broker's scripts. Built once, cached. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { type PackageSet, unpackPackages } from "../../infra/toolchain/debian.js";
import { execute } from "../../infra/toolchain/execute.js";
import { withLock } from "../../infra/toolchain/file-lock.js";
import { silentProgress } from "../../infra/toolchain/progress.js";
import { ensure } from "../../infra/toolchain/tools.js";
import { IMAGE_USER } from "../../policy/contract/images.js";
import { ImageWork } from "./image-work.js";

/** References of these images: their versions are Debian's. */
export const serverReferences = {
  broker: "localhost/lab/rabbitmq:3.10.8",
  store: "localhost/lab/etcd:3.4.23",
} as const;

const shell: PackageSet = {
  wanted: ["busybox-static"],
  label: "a shell for the broker's image",
  instead: "busybox-static",
  launchers: {},
};

/** The folder of `broker.tar` and `store.tar`. */
export async function serverImages(): Promise<string> {
  const unit = join(cacheFolder(), "kubernetes-server-images");
  if (existsSync(unit)) return unit;
  await withLock(join(cacheFolder(), "locks", "kubernetes-server-images"), async () => {
    if (existsSync(unit)) return;
    const work = mkdtempSync(join(tmpdir(), "lab-servers-"));
    const images = await ImageWork.open(work);
    try {
      const { etcd } = await ensure(["rabbitmq-server", "etcd"]);
      const servers = join(dirname(etcd.path), "../root");
      const out = join(work, "out");
      mkdirSync(out);
      const [store, broker] = [join(work, "store"), join(work, "broker")];
      await storeRoot(store, servers);
      const user = `USER ${IMAGE_USER}:${IMAGE_USER}`;
      await images.save(
        serverReferences.store,
        store,
        ["ENV PATH=/usr/bin", user, 'CMD ["etcd"]'],
        join(out, "store.tar"),
      );
      const path = await brokerRoot(broker, servers, work);
      const env = `ENV PATH=${path} LANG=C.UTF-8 HOME=/tmp`;
      await images.save(
        serverReferences.broker,
        broker,
        [env, user, 'CMD ["rabbitmq-server"]'],
        join(out, "broker.tar"),
      );
      rmSync(`${unit}.new`, { recursive: true, force: true });
      cpSync(out, `${unit}.new`, { recursive: true });
      renameSync(`${unit}.new`, unit);
    } finally {
      await images.close();
      rmSync(work, { recursive: true, force: true });
    }
  });
  return unit;
}

async function storeRoot(root: string, servers: string): Promise<void> {
  writeSystem(root);
  put(join(servers, "usr/bin/etcd"), join(root, "usr/bin/etcd"));
  await putLibraries(root, []);
}

/** @returns the image's PATH */
async function brokerRoot(root: string, servers: string, work: string): Promise<string> {
  writeSystem(root);
  for (const folder of ["usr/lib/erlang", "usr/lib/rabbitmq"])
    cpSync(join(servers, folder), join(root, folder), { recursive: true, verbatimSymlinks: true });
  const unpacked = join(work, "shell");
  mkdirSync(unpacked);
  await unpackPackages(unpacked, shell, process.env, silentProgress.step(shell.label));
  const busybox = globSync(join(unpacked, "root/{usr/,}bin/busybox"))[0];
  if (busybox === undefined) throw new Error("busybox-static has no busybox");
  put(busybox, join(root, "bin/busybox"));
  for (const name of execFileSync(join(root, "bin/busybox"), ["--list"], { encoding: "utf8" })
    .trim()
    .split("\n"))
    if (name !== "busybox") symlinkSync("busybox", join(root, "bin", name));
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  for (const name of ["erl", "epmd", "escript"])
    symlinkSync(`../lib/erlang/bin/${name}`, join(root, "usr/bin", name));
  await putLibraries(root, [join(servers, "usr/lib"), join(servers, "lib")]);
  const scripts = globSync(join(root, "usr/lib/rabbitmq/lib/*/sbin"))[0];
  if (scripts === undefined) throw new Error("rabbitmq-server has no scripts");
  return `${scripts.slice(root.length)}:/usr/bin:/bin`;
}

/** What a program expects of a system. */
function writeSystem(root: string): void {
  const files = {
    "etc/passwd": `root:x:0:0:root:/:/bin/false\nserver:x:${IMAGE_USER}:${IMAGE_USER}:server:/tmp:/bin/false\n`,
    "etc/group": `root:x:0:\nserver:x:${IMAGE_USER}:\n`,
    "etc/nsswitch.conf": "hosts: files dns\n",
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  mkdirSync(join(root, "tmp"));
  chmodSync(join(root, "tmp"), 0o1777);
}

function put(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(realpathSync(from), to);
  chmodSync(to, 0o755);
}

/** Libraries that programs in a file system name, from those folders first and then from this machine, to where the linker looks. */
async function putLibraries(root: string, first: readonly string[]): Promise<void> {
  const folders = first.flatMap((folder) => globSync(join(folder, "*-linux-gnu*")));
  const env = { ...process.env, LD_LIBRARY_PATH: folders.join(":") };
  const programs = globSync("**/*", { cwd: root })
    .map((path) => join(root, path))
    .filter(isProgram);
  const paths = new Set<string>();
  for (const program of programs) {
    const told = await execute("ldd", [program], { env });
    for (const [, path = ""] of told.stdout.matchAll(/(\/\S+) \(0x/g)) paths.add(path);
  }
  // The loader stands where programs name it; the others where it looks for them.
  for (const path of paths) {
    const loader = basename(path).startsWith("ld-");
    put(path, loader ? join(root, path) : join(root, "usr/lib", basename(path)));
  }
  symlinkLib(root);
}

/** The loader looks in /lib and /usr/lib. */
function symlinkLib(root: string): void {
  if (!existsSync(join(root, "lib"))) symlinkSync("usr/lib", join(root, "lib"));
}

function isProgram(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  const file = openSync(path, "r");
  try {
    const magic = Buffer.alloc(4);
    return readSync(file, magic, 0, 4, 0) === 4 && magic.toString("latin1") === "\x7fELF";
  } finally {
    closeSync(file);
  }
}

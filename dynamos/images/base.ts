import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InfraError } from "../../infra/problem.js";
import type { Environment } from "../../infra/toolchain/cache.js";
import { execute } from "../../infra/toolchain/execute.js";
import { IMAGE_USER } from "../../policy/contract/images.js";

/** The base that every image is built on where no other is named: Node and nothing else, no shell. */
export const DEFAULT_BASE = "gcr.io/distroless/nodejs22-debian12:nonroot";
/** Stands for a base that is made of this machine's Node, where no registry is reached. */
export const BASE_HERE = "this-machine";
/** What that base is called in the builder's storage. */
export const BASE_HERE_IMAGE = "localhost/dynamos-fabric/base:node";

/** Where Linux distributions keep the certificates they trust. */
const CERTIFICATES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/**
 * Writes a root file system with this machine's Node, the libraries it names, and what a program expects of a system, and a Containerfile
 * beside it.
 *
 * @param folder becomes the build's context
 * @returns the Containerfile
 * @throws InfraError K8S-IMAGES-BASE where Node's libraries cannot be told
 */
export async function writeBase(folder: string, env: Environment): Promise<string> {
  const root = join(folder, "rootfs");
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(realpathSync(from), join(root, to));
  };
  put(process.execPath, "/usr/local/bin/node");
  chmodSync(join(root, "/usr/local/bin/node"), 0o755);
  for (const library of await librariesOf(process.execPath, env)) put(library, library);
  const certificates = CERTIFICATES.find((file) => existsSync(file));
  if (certificates !== undefined) put(certificates, "/etc/ssl/certs/ca-certificates.crt");
  const text = (path: string, content: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  text(
    "/etc/passwd",
    `root:x:0:0:root:/:/sbin/nologin\nfabric:x:${IMAGE_USER}:${IMAGE_USER}:fabric:/tmp:/sbin/nologin\n`,
  );
  text("/etc/group", `root:x:0:\nfabric:x:${IMAGE_USER}:\n`);
  text("/etc/nsswitch.conf", "hosts: files dns\n");
  mkdirSync(join(root, "tmp"), { recursive: true });
  chmodSync(join(root, "tmp"), 0o1777);
  const containerfile = join(folder, "Containerfile");
  writeFileSync(containerfile, "FROM scratch\nCOPY rootfs/ /\n");
  return containerfile;
}

async function librariesOf(program: string, env: Environment): Promise<string[]> {
  const told = await execute("ldd", [program], { env });
  const paths = told.stdout.split("\n").flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  if (told.code === 0 && paths.length > 0) return paths;
  throw new InfraError({
    code: "K8S-IMAGES-BASE",
    path: program,
    message: `the libraries of this machine's Node cannot be told: ${told.stderr.trim()}`,
    remedy: "name a base image instead, with --base",
  });
}

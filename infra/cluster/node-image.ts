/** An image put on a machine from an archive, where there is no registry: copied by SFTP, imported into containerd. */
import * as pulumi from "@pulumi/pulumi";
import { connectionOf } from "./connection.js";
import { loadCommand } from "./peer.js";
import { remoteStep, type Target } from "./remote-step.js";
import { importScript } from "./scripts/node.js";
import { script } from "./scripts/script.js";

/** Seconds for an archive of a gigabyte over a slow line. */
const limit = 30 * 60;
const patience = 5 * 60;

/** Which archive, of which image. */
export interface NodeImageArgs {
  readonly on: Target;
  /** The OCI archive on this machine. Absolute. */
  readonly archive: string;
  /** As pods name it. */
  readonly image: string;
  /** `sha256:...` of its manifest. Another digest is copied and imported anew. */
  readonly digest: string;
  /** containerd's program on the machine. @default `ctr` */
  readonly ctr?: string;
  /** containerd's socket there. @default containerd's own */
  readonly socket?: string;
}

/**
 * Copies an image's archive to a machine and imports it where Kubernetes looks for images. Nothing is done where the image is there already; the
 * archive is taken away once it is imported.
 *
 * Errors at `up`: CLU-IMAGE, and those of any remote step.
 *
 * @returns what is there when the image is
 */
export function nodeImage(
  name: string,
  { on, archive, image, digest, ctr = "ctr", socket }: NodeImageArgs,
  options: pulumi.CustomResourceOptions,
): pulumi.Resource {
  const { remote } = loadCommand();
  const short = digest.replace("sha256:", "").slice(0, 16);
  // In the home of who logs in: nobody else can put another file in its place.
  const file = `dynamos-fabric-${short}.tar`;
  const copied = new remote.CopyToRemote(
    `${name}-copy`,
    {
      connection: on.host.apply(connectionOf),
      source: new pulumi.asset.FileAsset(archive),
      remotePath: file,
      // Another machine of that name has it not.
      triggers: [digest, on.host.apply(({ address, port }) => `${address} ${port}`)],
    },
    options,
  );
  const values = {
    HOST: on.name,
    IMAGE: image,
    DIGEST: digest,
    ARCHIVE: file,
    CTR: ctr,
    SOCKET: socket ?? "",
  };
  const text = script(values, importScript);
  return remoteStep(
    `${name}-import`,
    { step: "import", on, what: { script: text, hash: digest }, limit, patience },
    { ...options, dependsOn: copied },
  );
}

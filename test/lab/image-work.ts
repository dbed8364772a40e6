/** Images from folders, by whichever builder the product finds. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BuilderTool,
  buildCommand,
  findBuilder,
  removeCommand,
  run,
  saveCommand,
} from "../../dynamos/images/builder.js";
import { execute } from "../../infra/toolchain/execute.js";
import { silentProgress } from "../../infra/toolchain/progress.js";

export class ImageWork {
  readonly #tool: BuilderTool;
  readonly #folder: string;
  readonly #storage: string;

  private constructor(tool: BuilderTool, folder: string) {
    this.#tool = tool;
    this.#folder = folder;
    this.#storage = join(folder, "storage");
  }

  /** @param folder of the caller, for work that {@link close} removes */
  static async open(folder: string): Promise<ImageWork> {
    const work = new ImageWork(await findBuilder(process.env, silentProgress), folder);
    mkdirSync(work.#storage);
    writeFileSync(join(work.#storage, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}\n');
    writeFileSync(join(work.#storage, "registries.conf"), "unqualified-search-registries = []\n");
    return work;
  }

  /** An image that holds exactly this folder, as an OCI archive. */
  async save(image: string, root: string, lines: readonly string[], archive: string): Promise<void> {
    const containerfile = join(this.#folder, "Containerfile");
    writeFileSync(containerfile, ["FROM scratch", "COPY . /", ...lines, ""].join("\n"));
    const storage = { folder: this.#storage };
    const input = { image, containerfile, context: root, arguments: {} };
    await run(buildCommand(this.#tool, storage, input), image, process.env);
    rmSync(archive, { force: true });
    await run(saveCommand(this.#tool, storage, image, archive), image, process.env);
    await run(removeCommand(this.#tool, storage, image), image, process.env);
  }

  async close(): Promise<void> {
    // vfs keeps folders that even their owner may not enter.
    await execute("chmod", ["-R", "u+rwX", this.#storage]);
    rmSync(this.#storage, { recursive: true, force: true });
  }
}

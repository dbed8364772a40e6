import { readdirSync, statSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { promisify } from "node:util";
import type { SFTPWrapper } from "ssh2";
import { type Connection, nameOf, problem, type Surroundings, withLogin } from "./connection.js";

/** A file or folder of this machine, or without a path a text. */
interface Source {
  readonly path?: string | undefined;
  readonly text: string;
}

/**
 * Copies to a host; folders on the way are made. A folder given with a slash at its end is copied for its content, else it keeps its name.
 *
 * @throws InfraError `CMD-COPY` and those of {@link withLogin}
 */
export async function copy(
  to: Connection,
  source: Source,
  target: string,
  around: Surroundings,
): Promise<void> {
  await withLogin(to, around, async (client) => {
    try {
      const sftp = await new Promise<SFTPWrapper>((settle, fail) => {
        client.once("close", () => fail(new Error("the connection ended")));
        client.sftp((error, opened) => (error ? fail(error) : settle(opened)));
      });
      await copyAll(sftp, source, target);
    } catch (cause) {
      const what = `${source.path ?? "a text"} to ${target} on ${nameOf(to)}`;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw problem(
        "CMD-COPY",
        `cannot copy ${what} (${why})`,
        "check both paths, who may write there, and its room",
      );
    }
  });
}

async function copyAll(sftp: SFTPWrapper, source: Source, target: string): Promise<void> {
  const stat = promisify(sftp.stat.bind(sftp));
  const mkdir = promisify<string>(sftp.mkdir.bind(sftp));
  const put = promisify<string, string>(sftp.fastPut.bind(sftp));
  const kind = async (path: string): Promise<"folder" | "file" | undefined> => {
    try {
      return (await stat(path)).isDirectory() ? "folder" : "file";
    } catch (error) {
      if ((error as { code?: unknown }).code === 2) return undefined; // SSH_FX_NO_SUCH_FILE
      throw error;
    }
  };
  const makeFolder = async (path: string): Promise<void> => {
    const there = await kind(path);
    if (there === "file") throw new Error(`${path} is there and no folder`);
    if (there === "folder") return;
    await makeFolder(posix.dirname(path));
    await mkdir(path);
  };
  const there = await kind(target);
  if (source.path === undefined) {
    if (there === "folder") throw new Error("that is a folder, and a text has no name of its own");
    await makeFolder(posix.dirname(target));
    await promisify<string, string>(sftp.writeFile.bind(sftp))(target, source.text);
  } else if (statSync(source.path).isDirectory()) {
    const inside = source.path.endsWith("/") ? target : posix.join(target, basename(source.path));
    await makeFolder(inside);
    for (const entry of readdirSync(source.path, { recursive: true, withFileTypes: true })) {
      const from = join(entry.parentPath, entry.name);
      const at = posix.join(inside, from.slice(join(source.path, "/").length));
      await (entry.isDirectory() ? makeFolder(at) : put(from, at));
    }
  } else {
    if (there === undefined) await makeFolder(posix.dirname(target));
    await put(source.path, there === "folder" ? posix.join(target, basename(source.path)) : target);
  }
}

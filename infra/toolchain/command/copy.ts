import { readdirSync, statSync } from "node:fs";
import { basename, join, posix, relative } from "node:path";
import { promisify } from "node:util";
import type { SFTPWrapper } from "ssh2";
import { z } from "zod";
import { type Context, connectionSchema, login, nameOf, problem } from "./connection.js";

/** `command:remote:CopyToRemote`: a file or folder of this machine, or without a path a text. */
export const copySchema = z.object({
  connection: connectionSchema,
  remotePath: z.string(),
  source: z.object({ path: z.string().optional(), text: z.string().optional() }),
});
type Source = z.infer<typeof copySchema>["source"];

/** Makes folders on the way. A folder given with a slash at its end is copied for its content, else it keeps its name. @throws `CMD-COPY` */
export async function copy(given: unknown, context: Context): Promise<void> {
  const { connection, source, remotePath } = copySchema.parse(given);
  await login(connection, context, async (client) => {
    try {
      await copyAll(await promisify<SFTPWrapper>(client.sftp.bind(client))(), source, remotePath);
    } catch (cause) {
      const told = `${source.path ?? "a text"} is not at ${remotePath} (${(cause as Error).message})`;
      throw problem("CMD-COPY", `${nameOf(connection)}: ${told}`, "check both paths and who may write");
    }
  });
}

async function copyAll(sftp: SFTPWrapper, { path, text }: Source, target: string): Promise<void> {
  const stat = promisify(sftp.stat.bind(sftp));
  const isFolder = async (at: string) => (await stat(at).catch(() => undefined))?.isDirectory() === true;
  const put = async (from: string | undefined, to: string): Promise<void> => {
    const missing: string[] = [];
    for (let at = posix.dirname(to); !/^[./]$/.test(at) && !(await isFolder(at)); at = posix.dirname(at))
      missing.unshift(at);
    for (const folder of missing) await promisify<string>(sftp.mkdir.bind(sftp))(folder);
    if (from !== undefined) await promisify<string, string>(sftp.fastPut.bind(sftp))(from, to);
    else if (text === undefined) throw new Error("only files, folders and texts of this machine are copied");
    else await promisify<string, string>(sftp.writeFile.bind(sftp))(to, text);
  };
  const under = posix.join(target, basename(path ?? ""));
  if (path === undefined || !statSync(path).isDirectory())
    return await put(path, path !== undefined && (await isFolder(target)) ? under : target);
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    const from = join(entry.parentPath, entry.name);
    const at = posix.join(path.endsWith("/") ? target : under, relative(path, from));
    if (!entry.isDirectory()) await put(from, at);
  }
}

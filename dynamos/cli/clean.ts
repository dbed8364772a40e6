import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { InfraError } from "../../infra/problem.js";
import { cacheFolder } from "../../infra/toolchain/cache.js";

/** Adds `dynamos-fabric clean`. */
export function registerClean(program: Command): void {
  program
    .command("clean")
    .description("remove the cache folder with the downloaded engine, broker and store (all clones share it)")
    .option("-y, --yes", "do not ask, even if a stack runs")
    .action(async (options: { yes?: boolean }) => {
      await clean(options.yes === true);
    });
}

async function clean(yes: boolean): Promise<void> {
  const cache = cacheFolder();
  if (!existsSync(cache)) {
    process.stderr.write(`${cache} is not there\n`);
    return;
  }
  const users = usersOf(cache);
  if (users.length > 0 && !yes && !(await agreed(users))) {
    throw new InfraError({
      code: "TOOL-CACHE-IN-USE",
      message: `${users.length} processes run from ${cache}: ${users.slice(0, 4).join(", ")}${users.length > 4 ? ", ..." : ""}`,
      remedy: "take the stacks down first (npm run down), or say --yes",
    });
  }
  rmSync(cache, { recursive: true, force: true });
  process.stderr.write(`removed ${cache}\n`);
}

async function agreed(users: readonly string[]): Promise<boolean> {
  if (process.stdin.isTTY !== true) return false;
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await ask.question(
      `${users.length} processes of a running stack use it; remove it all the same? [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    ask.close();
  }
}

/** Processes of this machine that run a program below the folder. Where there is no /proc nothing is known. */
function usersOf(folder: string): string[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const command = readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0");
      const program = command.find((part) => part.startsWith(`${folder}/`));
      return program === undefined ? [] : [`${program.split("/").at(-1)} (${pid})`];
    } catch {
      // It ended while we looked.
      return [];
    }
  });
}

/** FABRIC's own Python client in a venv of its own, spoken to line by line. */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { cacheFolder } from "../../../infra/toolchain/cache.js";

const run = promisify(execFile);

const cache = cacheFolder();
const venv = join(cache, "venv-fablib");
const done = join(venv, "made-for-2.0.9");

/**
 * The Python of a venv with fabrictestbed 2.0.9 and fabrictestbed-extensions 2.0.9, made on first use (a minute). The extensions ask for exactly
 * fabrictestbed 2.0.8, so 2.0.9 is put over it afterwards.
 */
export async function fablibPython(): Promise<string> {
  const python = join(venv, "bin", "python");
  if (existsSync(done)) return python;
  await mkdir(cache, { recursive: true });
  const lock = `${venv}.lock`;
  const deadline = Date.now() + 600_000;
  while (
    !(await mkdir(lock).then(
      () => true,
      () => false,
    ))
  ) {
    if (existsSync(done)) return python;
    if (Date.now() > deadline)
      throw new Error(`${lock} is still there: another test makes the venv, or one was killed; remove it`);
    await sleep(500);
  }
  try {
    if (existsSync(done)) return python;
    await run("python3", ["-m", "venv", venv]);
    const pip = (...args: string[]) =>
      run(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", ...args]);
    await pip("fabrictestbed-extensions==2.0.9");
    await pip("--no-deps", "fabrictestbed==2.0.9");
    await writeFile(done, "");
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
  return python;
}

export interface Answer {
  readonly ok?: unknown;
  readonly error?: string;
  readonly status?: number | null;
}

export class OfficialClient {
  private readonly waiting: ((a: Answer) => void)[] = [];
  private errors = "";

  private constructor(
    private readonly process: ChildProcessWithoutNullStreams,
    private readonly folder: string,
  ) {
    createInterface({ input: process.stdout }).on("line", (line) => {
      // FABlib prints to stdout as it likes: only our own lines are objects with ok or error
      if (/^\{"(ok|error)": /.test(line)) this.waiting.shift()?.(JSON.parse(line) as Answer);
    });
    process.stderr.on("data", (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000);
    });
    process.on("exit", () => {
      for (const w of this.waiting.splice(0)) w({ error: `the client ended: ${this.errors}`, status: null });
    });
  }

  static async start(url: string, token: string): Promise<OfficialClient> {
    const python = await fablibPython();
    const folder = await mkdtemp(join(tmpdir(), "fablib-"));
    await writeFile(
      join(folder, "token.json"),
      JSON.stringify({ id_token: token, refresh_token: "r", created_at: "2026-01-01 00:00:00 +0000" }),
    );
    await writeFile(join(folder, "key"), "");
    const child = spawn(python, [join(__dirname, "official_client.py"), url, token, folder], {
      env: { PATH: process.env.PATH, HOME: folder, PYTHONWARNINGS: "ignore" },
    });
    const client = new OfficialClient(child, folder);
    const first = await new Promise<Answer>((resolve) => client.waiting.push(resolve));
    if (first.ok !== "ready") throw new Error(first.error);
    return client;
  }

  ask(command: Readonly<Record<string, unknown>>): Promise<Answer> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.process.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  /** The value; a refusal fails the test. */
  async get<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
    const answer = await this.ask(command);
    if (answer.error !== undefined) throw new Error(`${command.do}: ${answer.status} ${answer.error}`);
    return answer.ok as T;
  }

  async stop(): Promise<void> {
    this.process.stdin.end();
    if (this.process.exitCode === null) await new Promise((resolve) => this.process.once("exit", resolve));
    await rm(this.folder, { recursive: true, force: true });
  }
}

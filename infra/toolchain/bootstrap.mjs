// What every npm script starts. Runs on Node 18 and newer with nothing installed: fetches the dependencies, builds dist, then
// starts the real program on the Node that came with the dependencies. Each step only when something changed.
//
//   bootstrap.mjs <command of dynamos-fabric> [arguments]
//   bootstrap.mjs --test [arguments]      bootstrap.mjs --bench [arguments]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { constants, homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = realpathSync(resolve(dirname(fileURLToPath(import.meta.url)), "../.."));
const built = createRequire(import.meta.url)("./source-hash.cjs");
const modules = join(root, "node_modules");
const leastNode = [22, 12];

class Failure extends Error {}

function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Runs a program to its end; says after 2 s, then now and again, that it still goes on. */
async function step(label, program, args) {
  const started = Date.now();
  const live = process.stderr.isTTY;
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const child = spawn(program, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: childEnvironment(),
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
  }
  let next = 2;
  const timer = setInterval(() => {
    if (seconds() < next) return;
    next = seconds() + (live ? 1 : 20);
    process.stderr.write(live ? `\r\x1b[K${label} · ${seconds()} s` : `${label} · ${seconds()} s\n`);
  }, 250);
  const code = await new Promise((settle) => {
    child.once("error", (error) => {
      text += error.message;
      settle(127);
    });
    child.once("close", (status) => settle(status ?? 1));
  });
  clearInterval(timer);
  if (live && next > 2) process.stderr.write("\r\x1b[K");
  return { code, text, seconds: seconds() };
}

function childEnvironment() {
  // What Node compiled is kept: the engine's programs, which load the whole SDK each time, start in two thirds of the time.
  const compiled = process.env.NODE_COMPILE_CACHE || join(cacheFolder(), "compiled");
  const path = [join(modules, ".bin"), process.env.PATH].join(delimiter);
  return { ...process.env, PATH: path, NODE_COMPILE_CACHE: compiled };
}

// --- one process at a time works on this clone's node_modules and dist -------------------------------------------------------

function cacheFolder() {
  if (process.env.DYNAMOS_FABRIC_CACHE) return resolve(process.env.DYNAMOS_FABRIC_CACHE);
  const xdg = process.env.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, "dynamos-fabric");
  return join(process.env.HOME || homedir(), ".cache", "dynamos-fabric");
}

/** Tells a process from a later one with the same pid; undefined when there is none. */
function startOf(pid) {
  if (existsSync("/proc/self/stat")) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      return fields[0] === "Z"
        ? undefined
        : `${fields[19]}-${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}`;
    } catch {
      return undefined;
    }
  }
  const out = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).stdout?.trim();
  return out ? out.replace(/\W+/g, "-") : undefined;
}

/**
 * Each asker writes a file named after itself, then looks for others that run: of two askers at least one sees the other. The same
 * way as infra/local/claim.ts, which is not built yet when this runs.
 */
async function withLock(work) {
  const folder = join(
    cacheFolder(),
    "locks",
    `clone-${createHash("sha256").update(root).digest("hex").slice(0, 16)}`,
  );
  const own = `${process.pid}@${startOf(process.pid)}`;
  const claim = () => {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(join(folder, own), "");
    } catch (error) {
      throw new Failure(
        `TOOL-CACHE  the cache folder ${cacheFolder()} cannot be written (${error.code}); set DYNAMOS_FABRIC_CACHE to a folder of yours`,
      );
    }
    for (const name of readdirSync(folder)) {
      const [pid, start] = name.split("@");
      if (name === own) continue;
      if (startOf(pid) === start) {
        rmSync(join(folder, own), { force: true });
        return false;
      }
      rmSync(join(folder, name), { force: true });
    }
    return true;
  };
  for (let tries = 1; !claim(); tries++) {
    if (tries === 10) say("waiting for another run in this clone that installs or builds");
    await delay(50 + Math.random() * 100);
  }
  try {
    return await work();
  } finally {
    rmSync(join(folder, own), { force: true });
  }
}

// --- dependencies ------------------------------------------------------------------------------------------------------------

/** npm records what it installed, at the very end of its work: compared with what is asked for. */
function dependenciesAreThere() {
  try {
    const asked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    const there = JSON.parse(readFileSync(join(modules, ".package-lock.json"), "utf8")).packages;
    for (const [path, wanted] of Object.entries(asked)) {
      if (path === "") continue;
      if (
        there[path] === undefined
          ? !wanted.optional && !wanted.devOptional
          : there[path].version !== wanted.version
      )
        return false;
    }
    return Object.keys(there).every((path) => path in asked);
  } catch {
    return false;
  }
}

/**
 * Whether `npm ci` refuses only because the lock file lacks packages of other platforms. A registry that does not serve all of them
 * makes npm write such a lock; `npm install` takes everything else from it as `npm ci` does.
 */
function onlyOptionalMissing(text) {
  const complaints = [...text.matchAll(/^npm error (Missing|Invalid): (\S+?)@\S* /gm)];
  const asked = Object.values(JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages);
  const optional = new Set(asked.flatMap((entry) => Object.keys(entry.optionalDependencies ?? {})));
  return (
    complaints.length > 0 && complaints.every(([, what, name]) => what === "Missing" && optional.has(name))
  );
}

const offline = /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENETUNREACH|ERR_SOCKET_TIMEOUT|EHOSTUNREACH/;

async function installDependencies() {
  if (dependenciesAreThere()) return;
  const npm = process.env.npm_execpath;
  const [program, first] = npm && /\.c?js$/.test(npm) ? [process.execPath, [npm]] : ["npm", []];
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  let run = await step("dependencies: npm ci", program, [...first, "ci", ...quiet]);
  if (run.code !== 0 && onlyOptionalMissing(run.text)) {
    run = await step("dependencies: npm install", program, [...first, "install", "--no-save", ...quiet]);
  }
  if (run.code === 0) return say(`dependencies: installed (${run.seconds} s)`);
  if (offline.test(run.text)) {
    throw new Failure(
      "TOOL-NO-NETWORK  the npm registry cannot be reached; connect this machine and run the same command again",
    );
  }
  const words = run.text.split("\n").filter((line) => /^npm error (?!A complete log)\S/.test(line));
  say(words.slice(0, 12).join("\n"));
  if (
    words.some((line) =>
      /can only install packages when your package\.json and package-lock\.json/.test(line),
    )
  ) {
    throw new Failure(
      "TOOL-LOCK-STALE  package-lock.json does not fit package.json (npm's words are above); run `npm install` and commit both",
    );
  }
  throw new Failure(
    "TOOL-NPM-CI  the dependencies could not be installed (npm's own words are above); mend that and run the same command again",
  );
}

/** The Node to run on: the one among the dependencies, else ours if it will do. */
function chooseNode() {
  const own = join(modules, ".bin", "node");
  if (existsSync(own)) return own;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1])) return process.execPath;
  throw new Failure(
    `TOOL-NODE-OLD  Node ${process.versions.node} is older than ${leastNode.join(".")} and npm did not bring a newer one (are install scripts switched off?); install Node 22 or newer`,
  );
}

// --- dist --------------------------------------------------------------------------------------------------------------------

async function build(node) {
  if (built.isBuilt(root)) return;
  const run = await step("build: tsc", node, [
    join(modules, "typescript", "bin", "tsc"),
    "-p",
    "tsconfig.build.json",
  ]);
  if (run.code !== 0) {
    say(run.text.trim().split("\n").slice(0, 20).join("\n"));
    throw new Failure("TOOL-BUILD  the sources do not compile (the compiler's words are above)");
  }
  removeOrphans();
  writeFileSync(join(root, built.stampFile), built.stamp(root));
  say(`build: done (${run.seconds} s)`);
}

/** What was compiled from a source that is gone would still be found by `require`. */
function removeOrphans() {
  const wanted = new Set(built.sources(root).map((path) => path.replace(/\.([cm]?)ts$/, ".$1js")));
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, "dist", folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (/\.[cm]?js$/.test(path) && !wanted.has(path)) {
        for (const name of [path, `${path}.map`, path.replace(/js$/, "d.ts")])
          rmSync(join(root, "dist", name), { force: true });
      }
    }
  };
  walk("");
}

// --- the program itself ------------------------------------------------------------------------------------------------------

const entries = {
  "--test": ["test/run.mjs"],
  "--test-fabric": ["--import", "tsx", "test/fault/main.ts", "--suite", "fabric"],
  "--test-fault": ["--import", "tsx", "test/fault/main.ts"],
  "--bench": ["--import", "tsx", "test/bench/main.ts"],
};

/** Runs it with our terminal; passes signals on, once each, and answers its exit code. */
async function runProgram(node, args) {
  const entry = entries[args[0]];
  const command = entry ? [...entry, ...args.slice(1)] : [join(root, "dist/dynamos/cli/main.js"), ...args];
  const terminal = process.stdin.isTTY === true;
  const child = spawn(node, command, {
    cwd: entry ? root : process.cwd(),
    env: childEnvironment(),
    stdio: "inherit",
    // On a terminal the program hears Ctrl-C by itself. Elsewhere it hears only what is passed on, so nothing comes twice.
    detached: !terminal && !entry,
  });
  let last = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      const repeated = Date.now() - last < 700;
      last = Date.now();
      if (!repeated && !(signal === "SIGINT" && (terminal || entry))) child.kill(signal);
    });
  }
  return await new Promise((settle) => {
    child.once("error", (error) => {
      say(
        `error: TOOL-NODE-MISSING  ${node} could not be started (${error.message}); remove node_modules and run the same command again`,
      );
      settle(1);
    });
    child.once("exit", (code, signal) => settle(code ?? 128 + constants.signals[signal]));
  });
}

try {
  if (!dependenciesAreThere() || !built.isBuilt(root)) {
    await withLock(async () => {
      await installDependencies();
      await build(chooseNode());
    });
  }
  process.exitCode = await runProgram(chooseNode(), process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(`error: ${error.message}`);
  process.exitCode = 1;
}

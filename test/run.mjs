// Runs all tests, suite by suite, and counts them: `npm test`, `npm test -- unit`, `npm test -- integration fabric`.
// `--deep` adds the long ones (*.deep.test.ts).
// The first arguments that are names of suites choose; whatever follows goes to vitest. Ends with `N passed, N failed`.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
const fromDist = createRequire(join(root, "dist", "x.js"));
const skips = JSON.parse(readFileSync(join(root, "test", "skips.json"), "utf8"));

/** Where checks keep what they know of files that have not changed. */
const kept = join(root, "node_modules", ".cache", "dynamos-fabric");

/** What must hold of the sources themselves; each counts as one test. */
const checks = {
  "types (tsc)": () =>
    run(bin("tsc"), [
      ...["-p", "tsconfig.json", "--incremental"],
      ...["--tsBuildInfoFile", join(kept, "types.tsbuildinfo")],
    ]),
  "style (biome)": () => run(bin("biome"), ["check", "--diagnostic-level=error", "."]),
  "arrows (dependency-cruiser)": () =>
    run(bin("depcruise"), [
      ...["--config", ".dependency-cruiser.cjs", "--cache", join(kept, "arrows")],
      ...["infra", "dynamos", "policy"],
    ]),
  "schema (docs/marketplace.schema.json is what the spec says)": async () => {
    const said = await run(process.execPath, [join(root, "dist/dynamos/cli/main.js"), "schema"]);
    const file = join(root, "docs", "marketplace.schema.json");
    if (said.code !== 0) return said;
    const same = existsSync(file) && readFileSync(file, "utf8").trim() === said.stdout.trim();
    return same
      ? said
      : {
          code: 1,
          text: "stale; run `npm run schema` (dynamos-fabric schema > docs/marketplace.schema.json)",
        };
  },
};

const suites = {
  check: runChecks,
  // Of pure functions for the most part, so that files need no process of their own: a third less work.
  unit: (args) => runVitest("unit", ["--no-isolate", ...args]),
  component: (args) => runVitest("component", args),
  // They wait for brokers and limits more than they work.
  integration: (args) => runVitest("integration", [...workers(2.5), ...args]),
  fault: runSchedules,
  // Each of them drives a whole stack.
  e2e: (args) => runVitest("e2e", [...workers(1), ...args]),
  // A real Kubernetes, made of what can be built here: only when it is asked for (`npm run test:lab`).
  // It ends with this process, however that ends: what the lab has made goes then.
  lab: (args) => runVitest("lab", ["--maxWorkers=2", ...args], watchParent),
};

/** What runs at the same time: neither of two uses all that the machine has. */
const besides = [["unit", "check"], ["component"], ["integration"], ["e2e", "fault"], ["lab"]];

/** How many files run at once, unless the caller says so. */
const workers = (each) => [`--maxWorkers=${Math.max(2, Math.round(availableParallelism() * each))}`];

/** Runs a program and keeps its words. */
function run(program, args, stdio = ["ignore", "pipe", "pipe"]) {
  return new Promise((settle) => {
    const child = spawn(program, args, { cwd: root, stdio });
    let text = "";
    let stdout = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      stdout += chunk;
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    child.once("error", (error) => settle({ code: 127, text: error.message, stdout }));
    child.once("close", (code) => settle({ code: code ?? 1, text, stdout }));
  });
}

/** Runs suites at the same time. The first is heard while it runs; what the others say follows when they have ended. */
async function runBeside([first, ...others]) {
  if (first === undefined) return [];
  const quiet = others.map((suite) => runApart(suite));
  const outcomes = [await runOne(first)];
  for (const outcome of await Promise.all(quiet)) {
    console.log(outcome.text.trimEnd());
    outcomes.push(outcome);
  }
  return outcomes;
}

async function runOne(suite) {
  console.log(`\n== ${suite}`);
  const started = performance.now();
  const result = await suites[suite](args);
  return { suite, result, seconds: ((performance.now() - started) / 1000).toFixed(1) };
}

/** A suite in a process of its own, which keeps its words. */
async function runApart(suite) {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric-test-"));
  const file = join(folder, "outcome.json");
  try {
    const { code, text } = await run(process.execPath, [process.argv[1], "--outcome", file, suite, ...args]);
    if (existsSync(file)) return { ...JSON.parse(readFileSync(file, "utf8")), text };
    const words = `${text}\n✗ ${suite} ended with ${code} and without an outcome`;
    return { suite, result: { passed: 0, failed: 1, skipped: 0 }, seconds: "0", text: words };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runChecks() {
  const result = { passed: 0, failed: 0, skipped: 0 };
  const names = Object.keys(checks);
  const outcomes = await Promise.all(names.map((name) => checks[name]()));
  for (const [index, name] of names.entries()) {
    const { code, text } = outcomes[index];
    console.log(`${code === 0 ? "✓" : "✗"} ${name}`);
    if (code === 0) result.passed += 1;
    else {
      result.failed += 1;
      console.log(text.trim());
    }
  }
  return result;
}

/** Preloaded into a program that is to end with the one that started it. */
const watchParent = ["--require", join(root, "dist/infra/toolchain/watch-parent.js")];

async function runVitest(suite, args, options = []) {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric-test-"));
  const file = join(folder, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const only = filters(suite, args);
    const { code } = await run(
      process.execPath,
      [...options, bin("vitest"), "run", ...only, ...reporters],
      ["ignore", "inherit", "inherit"],
    );
    const report = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { testResults: [] };
    return count(suite, report, code, only.length > 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Suites of schedules (test/fault) and how many of each are run here. */
const schedules = { fabric: 20, revocation: 30 };

/**
 * The short form of `npm run test:fault`: each schedule is a test. `npm test -- fault revocation` runs one suite of them, and what follows, e.g.
 * `--schedules 5`, goes to the script.
 */
async function runSchedules(args) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const chosen = Object.keys(schedules).filter((suite) => args.includes(suite));
  for (const suite of chosen.length > 0 ? chosen : Object.keys(schedules)) {
    const result = await runScheduleSuite(
      suite,
      args.filter((arg) => !(arg in schedules)),
    );
    for (const key of Object.keys(total)) total[key] += result[key];
  }
  return total;
}

async function runScheduleSuite(suite, args) {
  if (process.platform !== "linux") {
    console.log("- skipped: fault: processes are found by /proc, which only Linux has");
    return { passed: 0, failed: 0, skipped: 1 };
  }
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric-test-"));
  const file = join(folder, "report.json");
  try {
    const own =
      args.includes("--schedules") || args.includes("--only")
        ? args
        : ["--schedules", String(schedules[suite])];
    const script = ["--import", "tsx", join(root, "test/fault/main.ts"), "--suite", suite, ...own];
    // A record of its own: what was run before is run again.
    script.push("--record", join(folder, "record.jsonl"), "--json", file);
    const { code } = await run(process.execPath, script, ["ignore", "inherit", "inherit"]);
    const outcomes = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
    const failed = outcomes.filter((outcome) => !outcome.ok).length;
    if (outcomes.length === 0 || (code !== 0 && failed === 0)) {
      console.log(`✗ fault: suite ${suite} ended with ${code} after ${outcomes.length} schedules`);
      return { passed: outcomes.length, failed: 1, skipped: 0 };
    }
    return { passed: outcomes.length - failed, failed, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Words choose files inside the suite's folder: vitest joins filters by "or", and a bare word would reach other suites. */
function filters(suite, args) {
  const isOption = (arg) => arg.startsWith("-");
  const words = args
    .filter((arg) => !isOption(arg))
    .map((word) => (word.startsWith("test/") ? word : `test/${suite}/${word}`));
  return [...(words.length > 0 ? words : [`test/${suite}/`]), ...args.filter(isOption)];
}

function count(suite, report, code, filtered) {
  const result = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    const path = relative(root, file.name);
    if (file.status === "failed" && file.assertionResults.every((test) => test.status === "passed")) {
      result.failed += 1;
      console.log(`✗ ${path} failed outside of its tests`);
    }
    for (const test of file.assertionResults) {
      const name = `${path} > ${test.fullName}`;
      // Of the test, or of its whole file.
      const reason = skips[name] ?? skips[path];
      if (test.status === "passed") result.passed += 1;
      else if (test.status === "failed") result.failed += 1;
      // With a filter (-t) vitest reports all others as skipped.
      else if (filtered) continue;
      else if (reason !== undefined) {
        result.skipped += 1;
        console.log(`- skipped: ${name}: ${reason}`);
      } else {
        result.failed += 1;
        console.log(`✗ skipped without a reason in test/skips.json: ${name}`);
      }
    }
  }
  if (result.passed + result.failed + result.skipped === 0) {
    console.log(`✗ ${suite}: no test ran`);
    result.failed += 1;
  } else if (code !== 0 && result.failed === 0) {
    console.log(
      `✗ ${suite}: vitest ended with ${code} although no test failed (an error outside of the tests, above)`,
    );
    result.failed += 1;
  }
  return result;
}

const args = process.argv.slice(2).filter((arg) => arg !== "--deep");
if (process.argv.includes("--deep")) process.env.DEEP = "1";
else if (!process.argv.includes("--outcome"))
  console.log("without the deep tests: `npm test -- --deep` runs them too, in twice the time");
const at = args.indexOf("--outcome");
const outcomeFile = at < 0 ? undefined : args.splice(at, 2)[1];
const named = [];
while (args[0] in suites) named.push(args.shift());
const chosen = named.length > 0 ? named : Object.keys(suites).filter((suite) => suite !== "lab");
const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];
if (outcomeFile !== undefined) {
  writeFileSync(outcomeFile, JSON.stringify(await runOne(named[0])));
  process.exit(0);
}
if (["integration", "fault", "e2e", "lab"].some((suite) => chosen.includes(suite))) {
  // Once, before tests ask for them at the same time.
  const { ensure } = fromDist("./infra/toolchain/tools.js");
  const { terminalProgress } = fromDist("./infra/toolchain/progress.js");
  await ensure(["pulumi", "rabbitmq-server", "epmd", "etcd"], terminalProgress()).catch((error) => {
    console.error(`error: ${error.message}`);
  });
}
for (const group of besides) {
  for (const { suite, result, seconds } of await runBeside(group.filter((name) => chosen.includes(name)))) {
    for (const key of Object.keys(total)) total[key] += result[key];
    const counts = Object.entries(result).map(([what, count]) => `${String(count).padStart(6)} ${what}`);
    lines.push(`${suite.padEnd(12)}${counts.join("")}${seconds.padStart(8)} s`);
  }
}
console.log(`\n${lines.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

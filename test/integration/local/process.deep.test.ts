import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ServiceSpec, shutdownStack } from "../../../infra/local/index.js";
import { packageFolder } from "../../../infra/local/package-folder.js";
import { findProgram } from "../../support/servers.js";
import {
  ask,
  eventually,
  type Fixture,
  killService,
  killSupervisor,
  newStack,
  web,
} from "./stack-fixture.js";

const root = packageFolder();

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly text: string;
}

/** A project of its own that has this package installed, with the real engine and a backend in its own folder. */
function newProject(stack: Fixture) {
  const at = (...parts: string[]) => join(stack.project, ...parts);
  for (const folder of ["bin", "program", "backend", "home", "node_modules/@pulumi"])
    mkdirSync(at(folder), { recursive: true });
  symlinkSync(root, at("node_modules/dynamos-fabric"));
  symlinkSync(join(root, "node_modules/@pulumi/pulumi"), at("node_modules/@pulumi/pulumi"));
  writeFileSync(at("Pulumi.yaml"), "name: local-process\nruntime: nodejs\nmain: program/\n");
  writeFileSync(at("package.json"), '{"name": "local-process", "version": "0.0.0"}');
  writeFileSync(
    at("program/index.js"),
    `const { LocalProcess } = require("dynamos-fabric/provider/infra/local/process");
    const made = {};
    for (const spec of require("../specs.json")) {
      made[spec.name] = new LocalProcess(spec.name, { state: ".state/dev", spec }, { dependsOn: (spec.needs ?? []).map(n => made[n]) });
      exports[spec.name] = made[spec.name].ports;
    }`,
  );
  // The engine built here has no plugins for Node: ours stand in (infra/toolchain).
  const plugins = {
    "pulumi-language-nodejs": "language-host",
    "pulumi-resource-pulumi-nodejs": "dynamic-provider",
  };
  for (const [name, program] of Object.entries(plugins)) {
    writeFileSync(
      at("bin", name),
      `#!/bin/sh\nexec "${process.execPath}" "${root}/dist/infra/toolchain/${program}.js" "$@"\n`,
    );
    chmodSync(at("bin", name), 0o755);
  }
  const env = {
    ...process.env,
    PATH: [at("bin"), process.env.PATH].join(delimiter),
    PULUMI_HOME: at("home"),
    PULUMI_BACKEND_URL: `file://${at("backend").replaceAll(" ", "%20")}`,
    PULUMI_CONFIG_PASSPHRASE: "not-for-services",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK: "1",
  };
  const pulumi = (...args: string[]): Promise<Outcome> =>
    new Promise((done) => {
      execFile(
        findProgram("pulumi"),
        [...args, "--non-interactive", "-s", "dev"],
        { cwd: stack.project, env, timeout: 120_000 },
        (error, out, err) => {
          done({ code: error === null ? 0 : Number(error.code ?? 1), out, text: out + err });
        },
      );
    });
  const steps = async () => {
    const { out } = await pulumi("preview", "--json", "--show-sames");
    const { steps } = JSON.parse(out) as { steps: { op: string; urn: string }[] };
    return steps
      .filter((step) => !step.urn.includes("pulumi:Stack"))
      .map((step) => `${step.op} ${step.urn.split("::").at(-1)}`);
  };
  const specs = (...list: ServiceSpec[]) => writeFileSync(at("specs.json"), JSON.stringify(list));
  return { pulumi, steps, specs };
}

describe("LocalProcess in the real engine", () => {
  it("is made, kept, put right after a reboot, changed and removed", { timeout: 400_000 }, async () => {
    const stack = newStack();
    const { pulumi, steps, specs } = newProject(stack);
    const run = async (...args: string[]) => {
      const outcome = await pulumi(...args);
      expect(outcome.code, outcome.text).toBe(0);
      return outcome.text;
    };
    const store = web("store");
    const agent = web("agent", { node: "edge", needs: ["store"], env: { STORE: "{{port:store/http}}" } });
    specs(store, agent);
    await run("stack", "init");

    // A mistake is told at the preview, with its code and place; nothing is made.
    specs({ ...store, env: { X: "{{prot:http}}" } });
    const mistake = await pulumi("preview");
    expect(mistake.code).not.toBe(0);
    expect(mistake.text).toMatch(/spec\.env\.X.*LOC-TEMPLATE/s);
    expect(mistake.text).not.toMatch(/^\s+at /m);
    specs(store, agent);
    expect(await steps()).toEqual(["create store", "create agent"]);
    expect(stack.processes()).toEqual([]);

    await run("up", "--yes", "--skip-preview");
    const first = stack.status("store");
    expect(await ask(stack.status("agent"), "/env")).not.toContain("not-for-services");
    expect(JSON.parse(await run("stack", "output", "--json"))).toMatchObject({ store: first.ports });
    expect(await steps()).toEqual(["same store", "same agent"]);
    const again = await run("up", "--yes", "--skip-preview");
    expect(again).toMatch(/3 unchanged/);
    expect(stack.status("store")).toEqual(first);

    // A reboot: everything is gone at once.
    await killSupervisor(stack);
    for (const name of ["store", "agent"]) killService(stack, name);
    await eventually(() => stack.processes()).toEqual([]);
    expect(await steps()).toEqual(["update store", "update agent"]);
    await run("up", "--yes", "--skip-preview");
    expect(stack.processes()).toHaveLength(2);
    expect(stack.status("store").ports).toEqual(first.ports);
    expect(await steps()).toEqual(["same store", "same agent"]);

    // Only the supervisor is gone.
    await killSupervisor(stack);
    await run("up", "--yes", "--skip-preview");
    expect(await steps()).toEqual(["same store", "same agent"]);

    // A change that does not start is an error with the log's last lines, and mended by the next up.
    specs(store, web("agent", {}, 'console.error("no model"); process.exit(1)'));
    const failure = await pulumi("up", "--yes", "--skip-preview");
    expect(failure.code).not.toBe(0);
    expect(failure.text).toMatch(/LOC-START-FAILED.*no model/s);
    expect(failure.text).not.toMatch(/^\s+at /m);
    specs(store, agent);
    await run("up", "--yes", "--skip-preview");
    expect(stack.status("agent").state).toBe("ready");

    // One leaves, then all, the last without a supervisor.
    specs(store);
    await run("up", "--yes", "--skip-preview");
    expect(stack.processes()).toHaveLength(1);
    await run("refresh", "--yes");
    expect(await steps()).toEqual(["same store"]);
    await killSupervisor(stack);
    await run("destroy", "--yes");
    expect(stack.processes()).toEqual([]);
    expect(readdirSync(stack.state)).toEqual(["logs"]);
  });

  it("a first start that fails stays known: the next up completes it, destroy removes it", {
    timeout: 240_000,
  }, async () => {
    const stack = newStack();
    const { pulumi, specs, steps } = newProject(stack);
    specs(web("store", {}, 'console.error("no disk"); process.exit(1)'));
    await pulumi("stack", "init");
    const failure = await pulumi("up", "--yes", "--skip-preview");
    expect(failure.text).toMatch(/LOC-START-FAILED.*no disk/s);
    specs(web("store"));
    const mended = await pulumi("up", "--yes", "--skip-preview");
    expect(mended.code, mended.text).toBe(0);
    expect(stack.status("store").state).toBe("ready");
    // What no record names is gone: a refresh says so, and the next up makes it.
    await shutdownStack(stack.state);
    await pulumi("refresh", "--yes");
    expect(await steps()).toEqual(["create store"]);
    specs(web("store"), web("other", {}, "process.exit(1)"));
    expect((await pulumi("up", "--yes", "--skip-preview")).code).not.toBe(0);
    const gone = await pulumi("destroy", "--yes");
    expect(gone.code, gone.text).toBe(0);
    await eventually(() => readdirSync(stack.state)).toEqual(["logs"]);
  });
});

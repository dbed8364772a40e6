import { existsSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openEndpoint } from "../../../infra/fabric/endpoint.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { forgetLogins, loginsFile, writeLogins } from "../../../infra/fabric/slice-logins.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { ensureSupervisor, type ServiceSpec, shutdownStack } from "../../../infra/local/index.js";
import { identityOf } from "../../../infra/local/os-process.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { ensure } from "../../../infra/toolchain/tools.js";
import { newStack } from "../local/stack-fixture.js";

const emulator: ServiceSpec = {
  name: "emulator",
  node: "fabric",
  command: ["{{node}}", "{{package}}/dist/infra/fabric/emulator/main.js", "--hosts", "loopback"],
  env: { HTTP_PORT: "{{port:http}}", STATE_FILE: "{{folder}}/state.json" },
  ports: { http: 0 },
  ready: { http: "http", path: "/healthz" },
};
const endpoint = { kind: "local", state: ".state/dev", service: "emulator", hosts: "loopback" } as const;

it("a stack's slice is logged in to with the ssh_config in its state folder, until the stack goes", {
  timeout: 300_000,
}, async () => {
  const { ssh } = await ensure(["ssh", "sshd"]);
  const stack = newStack();
  writeFileSync(join(stack.project, "Pulumi.yaml"), "name: p\n");
  await (await ensureSupervisor(stack.state, stack.project)).put(emulator);
  const { api, sshKeys } = await openEndpoint(endpoint, stack.project);
  const keeper = new SliceKeeper({ api, mark: { project: "p", stack: "dev", id: "m" }, sshKeys });
  const made = await keeper.create(parseSliceSpec({ name: "p-dev", nodes: { core: { site: "AMST" } } }));
  await writeLogins(stack.state, { name: "p-dev", endpoint }, made.view, stack.project);

  const file = loginsFile(stack.state, "p-dev");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const log = (command: string) => execute(ssh.path, ["-F", file, "-o", "BatchMode=yes", "core", command]);
  // what is left running in a session ends with the stack, too
  const run = await log("sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; pwd");
  const said = /^(\d+)\n.*\/nodes\/fabric\/emulator\/hosts\/nodes\/[\w-]+\/home\n$/.exec(run.stdout);
  expect(said, JSON.stringify(run)).not.toBeNull();

  await shutdownStack(stack.state);
  expect((await log("true")).code).toBe(255);
  if (process.platform === "linux") expect(identityOf(Number(said?.[1]))).toBeUndefined();
  forgetLogins(stack.state, "p-dev");
  expect(existsSync(file)).toBe(false);
});

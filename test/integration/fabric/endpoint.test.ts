import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openEndpoint } from "../../../infra/fabric/endpoint.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { ensureSupervisor, type ServiceSpec, shutdownStack, statusOf } from "../../../infra/local/index.js";
import { InfraError } from "../../../infra/problem.js";
import { killSupervisor, newStack } from "../local/stack-fixture.js";

const emulator: ServiceSpec = {
  name: "emulator",
  node: "fabric",
  command: ["{{node}}", "{{package}}/dist/infra/fabric/emulator/main.js"],
  env: { HTTP_PORT: "{{port:http}}", STATE_FILE: "{{folder}}/slices.json" },
  ports: { http: 0 },
  ready: { http: "http", path: "/healthz" },
};
const endpoint = { kind: "local", state: ".state/dev", service: "emulator" } as const;
const spec = parseSliceSpec({ name: "p-dev", nodes: { core: { site: "AMST" } } });

describe("the emulator of a stack as the endpoint", () => {
  it("is found by its service, started again when it is down, and gone when it was removed", {
    timeout: 90_000,
  }, async () => {
    const stack = newStack();
    writeFileSync(join(stack.project, "Pulumi.yaml"), "name: p\n");
    const open = () => openEndpoint(endpoint, stack.project);
    const gone: unknown = await open().catch((e: unknown) => e);
    expect(gone).toBeInstanceOf(InfraError);
    expect((gone as InfraError).code).toBe("FAB-LOCAL-GONE");

    const supervisor = await ensureSupervisor(stack.state, stack.project);
    await supervisor.put(emulator);
    const first = await open();
    const mark = { project: "p", stack: "dev", id: "m" };
    const made = await new SliceKeeper({ api: first.api, mark, sshKeys: first.sshKeys }).create(spec);
    expect(made.state).toBe("StableOK");

    // Stopped, and then its supervisor killed: the slice is still there for one who asks.
    await supervisor.stop("emulator");
    expect((await (await open()).api.slice(made.id)).state).toBe("StableOK");
    await supervisor.stop("emulator");
    await killSupervisor(stack);
    const after = await open();
    expect((await after.api.slice(made.id)).state).toBe("StableOK");
    expect(statusOf(stack.state).services.map((s) => s.state)).toEqual(["ready"]);

    await shutdownStack(stack.state);
    expect(((await open().catch((e: unknown) => e)) as InfraError).code).toBe("FAB-LOCAL-GONE");
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureMark, knownMarks, noteSubmission } from "../../../infra/fabric/mark-file.js";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { endUnrecordedSlices } from "../../../infra/fabric/unrecorded-slices.js";
import { EmulatedFabric, testToken } from "../../support/emulated-fabric.js";

let fabric: EmulatedFabric;
let folder = "";
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "unrecorded-"));
  writeFileSync(join(folder, "tokens.json"), JSON.stringify({ id_token: testToken() }));
  writeFileSync(join(folder, "fabric_rc"), "");
  fabric = await EmulatedFabric.start();
});
afterEach(async () => {
  await fabric.stop();
  rmSync(folder, { recursive: true, force: true });
});

const where = () => ({ state: join(folder, "state"), project: folder });
const endpoint = () =>
  ({
    kind: "fabric",
    host: fabric.host,
    tokenFile: join(folder, "tokens.json"),
    rc: join(folder, "fabric_rc"),
  }) as const;
const living = async () => (await fabric.api.slices()).filter((s) => s.state !== "Dead").map((s) => s.name);

/** A slice as a run leaves it that is killed before the engine writes it down. */
async function made(name: string, markId?: string): Promise<void> {
  const mark = ensureMark(where().state, name, { project: "p", stack: "dev" });
  noteSubmission(where().state, name, endpoint());
  const keeper = new SliceKeeper({
    api: fabric.api,
    mark: markId === undefined ? mark : { ...mark, id: markId },
    sshKeys: () => ["ssh-ed25519 AAAA test"],
  });
  await keeper.create(parseSliceSpec({ name, nodes: { core: { site: "AMST" } } }));
}

describe("slices that no engine's state names", () => {
  it("are ended where they bear a mark of the state folder; others are left alone", async () => {
    await made("p-dev");
    await made("p-other", "another's");
    ensureMark(where().state, "p-new", { project: "p", stack: "dev" });
    const lines: string[] = [];
    const ended = await endUnrecordedSlices({ ...where(), progress: (line) => lines.push(line) });
    expect(ended).toEqual(["p-dev"]);
    expect(lines[0]).toContain("slice p-dev (");
    expect(await living()).toEqual(["p-other"]);
    expect(knownMarks(where().state)).toEqual({});
    expect(await endUnrecordedSlices(where())).toEqual([]);
  });

  it("stay known while FABRIC cannot be asked; without a submission it is not asked", async () => {
    await made("p-dev");
    await fabric.stop();
    await expect(endUnrecordedSlices(where())).rejects.toMatchObject({ code: "FAB-UNREACHABLE" });
    expect(Object.keys(knownMarks(where().state))).toEqual(["p-dev"]);
    rmSync(where().state, { recursive: true });
    ensureMark(where().state, "p-dev", { project: "p", stack: "dev" });
    expect(await endUnrecordedSlices(where())).toEqual([]);
  });
});

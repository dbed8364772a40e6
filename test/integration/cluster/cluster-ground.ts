/** What the tests of clusters stand on: the emulator's hosts in namespaces, and a folder; opened once a file, closed at its end. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { namespacesProblem } from "../../../infra/fabric/emulator/hosts-namespaces.js";
import { prepare } from "../emulator/hosts-lab.js";
import { ClusterLab, type Sites } from "./cluster-lab.js";
import { touched } from "./stub-kubespray.js";

export const threeSites: Sites = { control: "AMST", losa: "LOSA", toky: "TOKY" };

/** Is had once `beforeAll` has run. */
export interface ClusterGround {
  readonly folder: string;
  readonly lab: ClusterLab;
  /** Playbooks that changed a host, in their order. */
  touches(name: string): Promise<string[]>;
}

/**
 * Registers the hooks of a `describe`: all its tests are skipped, with the reason, where hosts cannot be made.
 *
 * @param opened what else there must be, once the hosts are
 */
export function onClusterGround(
  sites: Sites,
  opened: (ground: ClusterGround) => Promise<void> = async () => {},
): ClusterGround {
  let problem: string | undefined;
  let folder: string | undefined;
  let lab: ClusterLab | undefined;
  const there = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("the hosts are not open");
    return value;
  };
  const ground: ClusterGround = {
    get folder() {
      return there(folder);
    },
    get lab() {
      return there(lab);
    },
    touches: async (name) =>
      (await there(lab).on(name, `cat ${touched} 2>/dev/null || true`)).split("\n").filter(Boolean),
  };
  beforeEach(({ skip }) => skip(problem !== undefined, problem));
  beforeAll(async () => {
    problem = await namespacesProblem();
    if (problem !== undefined) return;
    folder = await mkdtemp(join(tmpdir(), "cluster-"));
    const emulator = join(folder, "main.js");
    lab = new ClusterLab(emulator, await prepare(emulator), join(folder, "lab"));
    await lab.start(sites);
    await opened(ground);
  }, 400_000);
  afterAll(async () => {
    await lab?.hosts.end("SIGTERM");
    if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }, 60_000);
  return ground;
}

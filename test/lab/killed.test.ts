import { spawn } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { until } from "../support/servers.js";
import { firstTime } from "./lab.js";

/** Processes that have a folder in their environment. */
function withFolder(folder: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${folder}/`);
    } catch {
      return false; // ended in between
    }
  });
}

/** Processes of a lab's hosts, by the control groups of their pods. */
const inPods = (name: string): string[] =>
  globSync(`/sys/fs/cgroup/memory/${name}/**/tasks`).flatMap((file) => readFileSync(file, "utf8").split("\n").filter(Boolean)); // biome-ignore format: one line

describe("a lab that is killed", () => {
  it("leaves nothing behind: no process, no host, no control group, no file", {
    timeout: (firstTime + 300) * 1000,
  }, async () => {
    const child = spawn(process.execPath, ["--import", "tsx", join(__dirname, "killed-lab.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    try {
      await until("the lab's name", () => /^\{.*\}$/m.test(said), firstTime);
      const { name, folder, shared } = JSON.parse(/^\{.*\}$/m.exec(said)?.[0] ?? "") as Record<"name" | "folder" | "shared", string>; // biome-ignore format: one line
      // Its kubelets run, and have pods.
      await until("pods", () => inPods(name).length > 0, 200);
      expect(withFolder(folder).length).toBeGreaterThan(2);
      child.kill("SIGKILL");
      await ended;
      const gone = () =>
        withFolder(folder).length === 0 && globSync(`/sys/fs/cgroup/*/${name}`).length === 0 && !existsSync(folder) && !existsSync(shared); // biome-ignore format: one line
      await until("all of the lab gone", gone, 60);
    } catch (error) {
      throw new Error(`${String(error)}\n${said}`);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

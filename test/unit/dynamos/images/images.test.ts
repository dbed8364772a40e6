import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { imagesTable } from "../../../../dynamos/cli/images.js";
import { buildImages } from "../../../../dynamos/images/build.js";
import {
  type BuilderTool,
  buildCommand,
  pushCommand,
  removeCommand,
  saveCommand,
} from "../../../../dynamos/images/builder.js";
import { type ImageLock, LOCK_FILE, lockedImages, writeLock } from "../../../../dynamos/images/lock.js";
import { sourcesHash } from "../../../../dynamos/images/sources.js";
import { silentProgress } from "../../../../infra/toolchain/progress.js";
import { programOf } from "../../../../policy/contract/images.js";

const project = mkdtempSync(join(tmpdir(), "images unit-"));
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const lock = (): ImageLock => ({
  sources: sourcesHash(join(project, "x")),
  from: "registry",
  base: "base:1",
  images: {
    gateway: { image: "r/gateway:1", digest: digest("b") },
    agent: { image: "r/agent:1", digest: digest("a") },
  },
});
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "nothing";
};

beforeAll(() => cpSync("examples/titanic", join(project, "x"), { recursive: true }));
afterAll(() => rmSync(project, { recursive: true }));

describe("the image lock", () => {
  it("is missing until images are built, and then gives what a deployment needs", () => {
    expect(codeOf(() => lockedImages(project, "x"))).toBe("K8S-IMAGES-MISSING");
    writeLock(project, lock());
    expect(lockedImages(project, "x")).toEqual({ from: "registry", references: lock().images });
    // The same images are the same file, whatever their order was.
    expect(Object.keys(JSON.parse(readFileSync(join(project, LOCK_FILE), "utf8")).images)).toEqual([
      "agent",
      "gateway",
    ]);
  });

  it("is old when a microservice's program has changed, and new again when that is taken back", () => {
    writeLock(project, lock());
    const program = join(project, "x/microservices/vfl.mts");
    const text = readFileSync(program, "utf8");
    writeFileSync(program, `${text}\n`);
    expect(codeOf(() => lockedImages(project, "x"))).toBe("K8S-IMAGES-STALE");
    writeFileSync(program, text);
    expect(codeOf(() => lockedImages(project, "x"))).toBe("nothing");
    // An agreement is no part of an image.
    const agreement = join(project, "x/agreements/server.json");
    writeFileSync(agreement, `${readFileSync(agreement, "utf8")}\n`);
    expect(codeOf(() => lockedImages(project, "x"))).toBe("nothing");
  });

  it("says where it cannot be read", () => {
    for (const text of ["{", "[]", JSON.stringify({ ...lock(), from: "air" })]) {
      writeFileSync(join(project, LOCK_FILE), text);
      expect(codeOf(() => lockedImages(project, "x"))).toBe("K8S-IMAGES-LOCK");
    }
  });
});

describe("building images", () => {
  it("wants to know where they go before it builds any", async () => {
    await expect(buildImages({ project, experiment: "x" }, silentProgress, {})).rejects.toMatchObject({
      code: "K8S-IMAGES-REGISTRY",
    });
  });

  it("asks docker, podman and buildah in their own words", () => {
    const input = {
      image: "r/a:1",
      containerfile: "/p/Containerfile",
      context: "/c",
      arguments: { BASE: "b" },
    };
    const storage = { folder: "/s" };
    const words = (["docker", "podman", "buildah"] as const).map((kind) => {
      const tool: BuilderTool = { kind, program: kind };
      return [
        buildCommand(tool, storage, input),
        pushCommand(tool, storage, "r/a:1", "/digest"),
        saveCommand(tool, storage, "r/a:1", "/a.tar"),
        removeCommand(tool, storage, "r/a:1"),
      ].map((command) => command.join(" "));
    });
    expect(words).toMatchSnapshot();
  });

  it("puts an entry's program where its job looks for it", () => {
    expect(programOf("microservices/vfl-client.mts")).toBe("microservices/vfl-client.js");
    expect(programOf("count.js")).toBe("count.js");
  });

  it("shows what was built", () => {
    const image = { name: "a", image: "r/a:1", digest: digest("c") };
    expect(imagesTable([image, { ...image, archive: { file: "/a.tar", bytes: 51_240_000 } }])).toContain(
      "/a.tar (51.2 MB)",
    );
  });
});

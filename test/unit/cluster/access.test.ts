import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { accessOf } from "../../../infra/cluster/access.js";

describe("a kubeconfig's server and login", () => {
  const config = (server: string, more: object = {}) =>
    JSON.stringify({
      clusters: [{ name: "c", cluster: { server, ...more } }],
      users: [{ name: "u", user: { token: "t" } }],
      contexts: [
        { name: "x", context: { cluster: "c", user: "u", namespace: "mine" } },
        { name: "y", context: { cluster: "c", user: "u" } },
      ],
      "current-context": "x",
    });

  it("are read as kubectl reads them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric kubeconfig "));
    try {
      writeFileSync(join(folder, "ca.pem"), "CA\n");
      const file = join(folder, "config");
      writeFileSync(file, config("https://a/", { "certificate-authority": "ca.pem" }));
      const access = await accessOf(file);
      expect(access).toMatchObject({
        server: "https://a",
        namespace: "mine",
        tls: { ca: "CA" },
        isUnverified: false,
      });
      expect(await access.authorization()).toBe("Bearer t");
      expect((await accessOf(file, "y")).namespace).toBeUndefined();
      await expect(accessOf(file, "z")).rejects.toThrow(/CLU-CONTEXT-UNKNOWN/);
      await expect(accessOf(join(folder, "gone"))).rejects.toThrow(/CLU-KUBECONFIG/);
      await expect(accessOf(config("https://a", { "proxy-url": "http://p" }))).rejects.toThrow(
        /proxy-url is not built/,
      );
      const script = join(folder, "login");
      writeFileSync(script, `#!/bin/sh\necho '{"status":{"token":"'"$WORD"'"}}'\n`, { mode: 0o755 });
      const exec = {
        apiVersion: "client.authentication.k8s.io/v1",
        command: script,
        env: [{ name: "WORD", value: "made" }],
      };
      const plugin = await accessOf(config("https://a").replace('{"token":"t"}', JSON.stringify({ exec })));
      expect(await plugin.authorization()).toBe("Bearer made");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { freePort, isPortFree } from "../../../infra/local/ports.js";

describe("a free port", () => {
  it.runIf(process.platform === "linux")("is none that an outgoing connection could get", async () => {
    const [least = "0"] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/);
    const ports = await Promise.all(Array.from({ length: 30 }, () => freePort(new Set())));
    for (const port of ports) expect(port).toBeLessThan(Number(least));
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(10_000);
    expect(new Set(ports).size).toBeGreaterThan(20);
  });

  it("has nobody listening", async () => {
    const port = await freePort(new Set());
    const server = createServer();
    await new Promise<void>((done) => server.listen({ host: "127.0.0.1", port }, done));
    expect(await isPortFree(port)).toBe(false);
    await new Promise((done) => server.close(done));
    expect(await isPortFree(port)).toBe(true);
  });
});

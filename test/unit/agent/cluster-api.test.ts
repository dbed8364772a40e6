/** What a real API server cannot be made to do on demand: connections that break, versions that are gone, tokens that are replaced. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ClusterApi, ownCluster } from "../../../policy/agent/runner-kubernetes-api.js";
import { until } from "../../support/servers.js";

interface Named {
  readonly metadata: { readonly name: string };
}
const object = (name: string, resourceVersion = "1") => ({ metadata: { name, resourceVersion } });
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A server that answers each request by the next of these, the last for ever. */
async function serving(
  ...answers: readonly ((request: IncomingMessage, response: ServerResponse) => void)[]
): Promise<{ api: ClusterApi; asked: string[]; setToken: (token: string) => void }> {
  const asked: string[] = [];
  let token = "first";
  const server = createServer((request, response) => {
    asked.push(`${request.headers.authorization} ${request.method} ${request.url}`);
    answers[Math.min(asked.length, answers.length) - 1]?.(request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const api = new ClusterApi({
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: () => token,
    namespace: "one",
  });
  closing.push(async () => {
    await api.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  return {
    api,
    asked,
    setToken: (now) => {
      token = now;
    },
  };
}

const list =
  (version: string, ...names: string[]) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.end(
      JSON.stringify({ metadata: { resourceVersion: version }, items: names.map((name) => object(name)) }),
    );
const follow =
  (...lines: object[]) =>
  (_: IncomingMessage, response: ServerResponse) => {
    // In pieces that end where they like.
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    response.write(text.slice(0, 10));
    setTimeout(() => response.end(text.slice(10)), 20);
  };
const silence = (_: IncomingMessage, response: ServerResponse) => void response.write("\n");

function watching(api: ClusterApi) {
  const seen: string[] = [];
  const troubles: unknown[] = [];
  const stop = new AbortController();
  const done = api.watch<Named>(
    "api/v1/pods",
    { labelSelector: "type=microservice" },
    {
      change: ({ type, object: { metadata } }) => seen.push(`${type} ${metadata.name}`),
      list: (names) => seen.push(`LIST ${[...names].join(",")}`),
      trouble: (error) => troubles.push(error),
    },
    stop.signal,
  );
  closing.push(async () => {
    stop.abort();
    await done;
  });
  return { seen, troubles };
}

describe("an agent's watch of the cluster", () => {
  it("goes on where it was when the server ends it, as it does every few minutes", async () => {
    const { api, asked } = await serving(
      list("10", "a"),
      follow({ type: "MODIFIED", object: object("a", "11") }, { type: "BOOKMARK", object: object("", "15") }),
      follow({ type: "DELETED", object: object("a", "16") }),
      silence,
    );
    const { seen, troubles } = watching(api);
    await until("all is seen", () => asked.length === 4);
    expect(seen).toEqual(["LIST a", "ADDED a", "MODIFIED a", "DELETED a"]);
    expect(asked.map((line) => /resourceVersion=(\d+)/.exec(line)?.[1])).toEqual([
      undefined,
      "10",
      "15",
      "16",
    ]);
    expect(troubles).toEqual([]);
  });

  it("asks for everything anew when the server has forgotten where it was", async () => {
    const { api, asked } = await serving(
      list("10", "a"),
      follow({ type: "ERROR", object: { code: 410, message: "too old" } }),
      list("90", "b"),
      silence,
    );
    const { seen } = watching(api);
    await until("all is seen", () => asked.length === 4);
    expect(seen).toEqual(["LIST a", "ADDED a", "LIST b", "ADDED b"]);
    expect(asked[3]).toContain("resourceVersion=90");
  });

  it("comes back after a broken connection, with the token as it is then", async () => {
    const cut = (request: IncomingMessage) => void request.socket.destroy();
    const { api, asked, setToken } = await serving(list("10", "a"), cut, list("20"), silence);
    const { seen, troubles } = watching(api);
    await until("it breaks", () => troubles.length === 1);
    setToken("second");
    await until("it is back", () => asked.length === 4);
    expect(seen).toEqual(["LIST a", "ADDED a", "LIST "]);
    expect(asked.map((line) => line.split(" ")[1])).toEqual(["first", "first", "second", "second"]);
  });

  it("tells the server's own words when it refuses", async () => {
    const { api } = await serving((_, response) => {
      response.statusCode = 403;
      response.end(JSON.stringify({ kind: "Status", message: 'jobs.batch is forbidden: User "x" cannot' }));
    });
    await expect(api.list("apis/batch/v1/jobs", {})).rejects.toMatchObject({
      status: 403,
      message: 'jobs.batch is forbidden: User "x" cannot',
    });
  });
});

describe("a pod's own cluster", () => {
  it("is read from where Kubernetes puts it, the token anew each time", () => {
    const folder = mkdtempSync(join(tmpdir(), "account-"));
    const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
    write("ca.crt", "PEM\n");
    write("namespace", "dynamos-one");
    write("token", "a\n");
    const access = ownCluster({ KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" }, folder);
    expect(access).toMatchObject({ server: "https://[fd00::1]:443", ca: "PEM", namespace: "dynamos-one" });
    expect(access.token()).toBe("a");
    write("token", "b");
    expect(access.token()).toBe("b");
    rmSync(folder, { recursive: true });
    expect(() => ownCluster({}, folder)).toThrow(expect.objectContaining({ code: "CFG-INVALID" }));
  });
});

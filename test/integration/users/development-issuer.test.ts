import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createIssuer } from "../../../policy/issuer/issuer.js";
import { IssuerKeyring } from "../../../policy/issuer/issuer-keyring.js";
import { createLogger } from "../../../policy/platform/log.js";
import { TokenVerifier } from "../../../policy/users/verifier.js";

const SECRET = "the-secret-of-the-test";
const folder = mkdtempSync(join(tmpdir(), "issuer-"));
const file = join(folder, "keys.json");

let keyring: IssuerKeyring;
let app: FastifyInstance;
let url: string;
beforeAll(async () => {
  keyring = await IssuerKeyring.open(file);
  app = createIssuer({
    issuer: () => url,
    keyring,
    secret: SECRET,
    log: createLogger("test", "silent" as "info"),
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as { port: number }).port}`;
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true });
});

const verifier = (): TokenVerifier =>
  new TokenVerifier({ issuer: url, audience: "dynamos-fabric", userClaim: "sub", rolesClaim: "roles" });

async function order(
  body: unknown,
  secret = SECRET,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${url}/token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const token = async (user: string, roles: readonly string[]): Promise<string> =>
  `Bearer ${(await order({ user, roles })).body.access_token}`;

describe("the development issuer", () => {
  it("says in its metadata that it is one", async () => {
    const metadata = await (await fetch(`${url}/.well-known/openid-configuration`)).json();
    expect(metadata).toMatchObject({
      issuer: url,
      development: true,
      description: expect.stringMatching(/^The development issuer/),
    });
  });

  it("gives tokens that services take by the usual way", async () => {
    expect(await verifier().principal(await token("ada@uva.nl", ["requester", "steward:one"]))).toEqual({
      user: "ada@uva.nl",
      subject: "ada@uva.nl",
      requester: true,
      operator: false,
      stewardOf: ["one"],
    });
  });

  it("gives none without its secret, and none that is not well ordered", async () => {
    expect(await order({ user: "ada", roles: [] }, "wrong")).toMatchObject({
      status: 401,
      body: { code: "USR-NOT-ALLOWED" },
    });
    for (const wrong of [
      {},
      { user: "a b", roles: [] },
      { user: "a", roles: "operator" },
      { user: "a", roles: [], seconds: 1e9 },
      { user: "a", roles: [], aud: "x" },
      null,
    ])
      expect(await order(wrong)).toMatchObject({
        status: 400,
        body: { code: "USR-ORDER", message: expect.stringMatching(/./) },
      });
  });

  it("keeps its private keys in a file for its owner only, and shows no part of them", async () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { keys } = JSON.parse(readFileSync(file, "utf8")) as { keys: { d: string }[] };
    const shown = await (await fetch(`${url}/jwks`)).text();
    for (const { d } of keys) expect(shown).not.toContain(d);
  });

  it("changes its key without anybody being refused: the next one is known before it signs, the last one while its tokens live", async () => {
    const users = verifier();
    const first = await token("ada", []);
    expect((await users.principal(first)).user).toBe("ada");
    await keyring.rotate();
    const second = await token("eve", []);
    expect((await users.principal(second)).user).toBe("eve");
    expect((await users.principal(first)).user).toBe("ada");
    // Also for one who asks now, and for an issuer that was started again.
    expect((await verifier().principal(first)).user).toBe("ada");
    expect((await IssuerKeyring.open(file)).publicKeys()).toEqual(keyring.publicKeys());
    await keyring.rotate();
    await expect(verifier().principal(first)).rejects.toMatchObject({ code: "USR-TOKEN-KEY" });
  });
});

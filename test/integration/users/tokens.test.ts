import { createHmac, createPublicKey, randomInt } from "node:crypto";
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { CodedError } from "../../../policy/contract/problem.js";
import { createHttp } from "../../../policy/platform/health.js";
import { createLogger } from "../../../policy/platform/log.js";
import { onlyUsers, principalIn } from "../../../policy/users/hook.js";
import { userStatusOf } from "../../../policy/users/rights.js";
import { LONGEST_TOKEN, type TokenVerifier } from "../../../policy/users/verifier.js";
import { issuerKey, TestIssuer } from "../../support/test-issuer.js";

const log = createLogger("test", "silent" as "info");
const KEYS = "/keys";
const DISCOVERY = "/.well-known/openid-configuration";

let issuer: TestIssuer;
let verifier: TokenVerifier;
beforeAll(async () => {
  issuer = await TestIssuer.start("ES256", "RS256", "EdDSA");
  verifier = issuer.verifier();
});
afterEach(() => issuer.instead.clear());
afterAll(() => issuer.close());

const asked = (path: string): number => issuer.asked.filter((p) => p === path).length;
const seconds = (from: number): number => Math.floor(Date.now() / 1000) + from;

/** The user, or the code of the refusal. */
async function who(token: string, users = verifier): Promise<string> {
  try {
    return (await users.principal(`Bearer ${token}`)).user;
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
}

/** A token of one's own making: `header` and `claims` as they are, signed by what is given. */
function handMade(header: object, claims: object, sign: (content: string) => string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const content = `${part(header)}.${part(claims)}`;
  return `${content}.${sign(content)}`;
}
const claimsNow = () => ({
  iss: issuer.url,
  aud: "dynamos-fabric",
  sub: "ada@uva.nl",
  roles: ["operator"],
  exp: seconds(600),
});

describe("a token of the issuer", () => {
  it("is taken from each key that it publishes, and names its user", async () => {
    for (const key of issuer.keys) expect(await who(await issuer.token({}, {}, key))).toBe("ada@uva.nl");
    expect(asked(DISCOVERY)).toBe(1);
    expect(asked(KEYS)).toBe(1);
  });

  it("is taken where clocks differ a little, and for one of several audiences", async () => {
    expect(await who(await issuer.token({ exp: seconds(-20) }))).toBe("ada@uva.nl");
    expect(await who(await issuer.token({ nbf: seconds(20), iat: seconds(20) }))).toBe("ada@uva.nl");
    expect(await who(await issuer.token({ aud: ["other", "dynamos-fabric"] }))).toBe("ada@uva.nl");
  });

  it.each([
    ["expired", () => ({ exp: seconds(-40) }), "USR-TOKEN-EXPIRED"],
    ["without an end", () => ({ exp: undefined }), "USR-TOKEN-INVALID"],
    ["with an end that is no number", () => ({ exp: "never" }), "USR-TOKEN-INVALID"],
    ["not valid yet", () => ({ nbf: seconds(60) }), "USR-TOKEN-EARLY"],
    ["from the future", () => ({ iat: seconds(60) }), "USR-TOKEN-EARLY"],
    ["of another issuer by its claim", () => ({ iss: "https://other.example" }), "USR-TOKEN-ISSUER"],
    ["without an issuer", () => ({ iss: undefined }), "USR-TOKEN-ISSUER"],
    ["for another audience", () => ({ aud: "shop" }), "USR-TOKEN-AUDIENCE"],
    ["for nobody in particular", () => ({ aud: undefined }), "USR-TOKEN-AUDIENCE"],
    ["without a subject", () => ({ sub: undefined }), "USR-TOKEN-INVALID"],
    ["with a subject that is no name", () => ({ sub: "a b" }), "USR-CLAIM"],
  ])("is refused %s", async (_what, claims, code) => {
    expect(await who(await issuer.token(claims()))).toBe(code);
  });

  it("is refused when it is too large, before anything of it is read", async () => {
    expect(await who(await issuer.token({ padding: "x".repeat(LONGEST_TOKEN) }))).toBe("USR-TOKEN-TOO-LARGE");
  });
});

describe("a token that the issuer did not sign", () => {
  it("is refused with another's key, also under a name that the issuer's key has", async () => {
    const other = await issuerKey("key-0");
    expect(await who(await issuer.token({}, {}, other))).toBe("USR-TOKEN-INVALID");
    expect(await who(await issuer.token({}, {}, await issuerKey("unheard-of")))).toBe("USR-TOKEN-KEY");
    // A key that the token brings along proves nothing.
    const jwk = other.jwk as Record<string, string>;
    expect(
      await who(await issuer.token({}, { jwk, jku: "https://evil.example/keys" } as object, other)),
    ).toBe("USR-TOKEN-INVALID");
  });

  it("is refused without any signature", async () => {
    for (const alg of ["none", "None", "NONE", ""])
      expect(await who(handMade({ alg }, claimsNow(), () => "")), alg).toMatch(
        /^USR-TOKEN-(ALGORITHM|INVALID)$/,
      );
    const whole = await issuer.token();
    expect(await who(whole.slice(0, whole.lastIndexOf(".") + 1))).toBe("USR-TOKEN-INVALID");
    expect(await who(whole.slice(0, whole.lastIndexOf(".")))).toBe("USR-TOKEN-INVALID");
  });

  it("is refused when the public key is used as a secret, in every form it may be written", async () => {
    const rsa = issuer.keys[1];
    if (rsa === undefined) throw new Error("no RSA key");
    const key = createPublicKey({ key: rsa.jwk as never, format: "jwk" });
    const pem = String(key.export({ type: "spki", format: "pem" }));
    const secrets = [
      pem,
      pem.trim(),
      key.export({ type: "spki", format: "der" }),
      JSON.stringify(rsa.jwk),
      String(rsa.jwk.n),
    ];
    for (const alg of ["HS256", "HS384", "HS512"]) {
      for (const secret of secrets) {
        const sign = (content: string) =>
          createHmac(`sha${alg.slice(2)}`, secret)
            .update(content)
            .digest("base64url");
        expect(await who(handMade({ alg, kid: rsa.kid }, claimsNow(), sign))).toBe("USR-TOKEN-ALGORITHM");
      }
    }
    // A key of one kind under the algorithm of another.
    expect(await who(await issuer.token({}, { alg: "RS256", kid: "key-0" }, rsa))).toBe("USR-TOKEN-KEY");
    // A symmetric key that the issuer would publish is no key either.
    const odd = await TestIssuer.start();
    odd.keys = [
      { ...rsa, jwk: { kty: "oct", k: Buffer.from("secret").toString("base64url"), kid: "s", alg: "HS256" } },
    ];
    const sign = (content: string) => createHmac("sha256", "secret").update(content).digest("base64url");
    const claims = { ...claimsNow(), iss: odd.url };
    expect(await who(handMade({ alg: "HS256", kid: "s" }, claims, sign), odd.verifier())).toBe(
      "USR-TOKEN-ALGORITHM",
    );
    await odd.close();
  });

  it("is refused when any character of it was changed", async () => {
    const token = await issuer.token();
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (let at = 0; at < token.length; at += 7) {
      const changed =
        token[at] === "." ? "A" : (letters[(letters.indexOf(token[at] ?? "") + 32) % 64] ?? "A");
      expect(await who(`${token.slice(0, at)}${changed}${token.slice(at + 1)}`), `at ${at}`).toMatch(
        /^USR-TOKEN-/,
      );
    }
  });
});

describe("the issuer's keys", () => {
  it("are asked for again when a token names a new one, and those that were taken back count no more", async () => {
    const own = await TestIssuer.start();
    const users = own.verifier();
    const old = await own.token();
    expect(await who(old, users)).toBe("ada@uva.nl");
    own.keys = [await issuerKey("key-new"), ...own.keys];
    expect(await who(await own.token(), users)).toBe("ada@uva.nl");
    expect(await who(old, users)).toBe("ada@uva.nl");
    own.keys = own.keys.slice(0, 1);
    expect(await who(await own.token({}, {}, await issuerKey("key-unknown")), users)).toBe("USR-TOKEN-KEY");
    expect(await who(old, users)).toBe("USR-TOKEN-KEY");
    await own.close();
  });

  it("are asked for once, however many tokens name keys that nobody knows", async () => {
    const own = await TestIssuer.start();
    const users = own.verifier({ cooldown: 60_000 });
    const strangers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => own.token({}, { kid: `k${i}` })),
    );
    for (const code of await Promise.all(strangers.map((t) => who(t, users))))
      expect(code).toBe("USR-TOKEN-KEY");
    expect(own.asked.filter((path) => path === KEYS)).toHaveLength(1);
    await own.close();
  });

  it.each([
    ["gives an error", { status: 500, body: "" }, "USR-ISSUER-SILENT"],
    ["gives no JSON", { status: 200, body: "<html>" }, "USR-ISSUER-SILENT"],
    ["never answers", {}, "USR-ISSUER-SILENT"],
    ["gives too much", { status: 200, body: JSON.stringify("x".repeat(1_100_000)) }, "USR-ISSUER-SILENT"],
    [
      "speaks for another",
      { status: 200, body: '{"issuer":"https://other.example","jwks_uri":"https://x/"}' },
      "USR-ISSUER-METADATA",
    ],
    ["gives null", { status: 200, body: "null" }, "USR-ISSUER-METADATA"],
  ])("cannot be had while the issuer %s; afterwards they can", async (_what, answer, code) => {
    const own = await TestIssuer.start();
    const users = own.verifier({ timeout: 300 });
    const token = await own.token();
    own.instead.set(DISCOVERY, answer);
    const begin = performance.now();
    expect(await who(token, users)).toBe(code);
    // Who comes next is told at once, without a call of its own.
    expect(await who(token, users)).toBe(code);
    expect(performance.now() - begin).toBeLessThan(5_000);
    own.instead.clear();
    await expect.poll(() => who(token, users), { timeout: 20_000, interval: 200 }).toBe("ada@uva.nl");
    await own.close();
  });

  it("must be keys, and over https or from this machine", async () => {
    const own = await TestIssuer.start();
    const token = await own.token();
    own.instead.set(KEYS, { status: 200, body: '{"keys":"none"}' });
    expect(await who(token, own.verifier())).toBe("USR-ISSUER-METADATA");
    own.instead.set(DISCOVERY, {
      status: 200,
      body: JSON.stringify({ issuer: own.url, jwks_uri: "http://example.org/keys" }),
    });
    expect(await who(token, own.verifier())).toBe("USR-ISSUER-METADATA");
    await own.close();
  });

  it("are not there while the issuer is away, and a service says so and lives", async () => {
    const own = await TestIssuer.start();
    const users = own.verifier();
    const token = await own.token();
    await own.close();
    expect(await who(token, users)).toBe("USR-ISSUER-SILENT");
  });
});

describe("any header at all", () => {
  /** 5,000; `TOKENS=100000` for more, `TOKEN_SEED` for others. */
  const count = Number(process.env.TOKENS ?? 5_000);
  const seed = Number(process.env.TOKEN_SEED ?? randomInt(2 ** 31));

  it(`is answered with a code: ${count} of seed ${seed}`, { timeout: 60_000 + count * 20 }, async () => {
    const app = createHttp({ log, codes: "GW", status: (problem) => userStatusOf(problem.code) });
    onlyUsers(app, verifier);
    app.get("/me", (request) => ({ user: principalIn(request).user }));
    const good = await issuer.token({}, {}, issuer.keys[2]);
    const [head = "", body = "", signature = ""] = good.split(".");
    const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value) ?? "").toString("base64url");
    const json = fc.json();
    const header = fc.record(
      {
        alg: fc.oneof(
          fc.constantFrom("none", "HS256", "ES256", "RS256", "EdDSA", "PS512", "ES512"),
          fc.string(),
        ),
        kid: fc.oneof(fc.constantFrom("key-0", "key-1", "key-2"), fc.string()),
        typ: fc.constantFrom("JWT", "at+jwt"),
        crit: fc.oneof(fc.constant(["b64"]), fc.anything()),
        b64: fc.boolean(),
        zip: fc.constant("DEF"),
        jwk: fc.object(),
        x5c: fc.array(fc.string()),
      },
      { requiredKeys: ["alg"] },
    );
    const piece = fc.oneof(
      fc.constantFrom(head, body, signature, "", "e30", "bnVsbA"),
      fc.base64String(),
      json.map((text) => Buffer.from(text).toString("base64url")),
      header.map(base64),
    );
    const mutated = fc
      .tuple(fc.nat(good.length - 1), fc.nat(12), fc.string({ maxLength: 12 }))
      .map(([at, cut, text]) => good.slice(0, at) + text + good.slice(at + cut));
    const token = fc.oneof(
      mutated,
      fc.array(piece, { maxLength: 6 }).map((parts) => parts.join(".")),
      fc.tuple(header.map(base64), fc.constant(body), piece).map((parts) => parts.join(".")),
      fc.string({ unit: "binary", maxLength: 400 }),
      fc.nat(10_000).map((length) => "a.".repeat(length)),
    );
    const authorization = fc.oneof(
      token.map((t) => `Bearer ${t}`),
      token,
    );
    const seen = new Set<string | undefined>();
    let taken = 0;
    let slowest = 0;
    await fc.assert(
      fc.asyncProperty(authorization, async (value) => {
        // This process's own time: on a busy machine a second may pass while it is not even let run.
        const begin = process.cpuUsage();
        const answer = await app.inject({ url: "/me", headers: { authorization: value } });
        const { user: inCode, system } = process.cpuUsage(begin);
        slowest = Math.max(slowest, (inCode + system) / 1_000);
        const { status, code, remedy } = answer.json() as Record<string, string>;
        if (answer.statusCode === 200) {
          // A change that changes nothing of what was signed.
          expect(
            value
              .trim()
              .replace(/^Bearer +/i, "")
              .split(".")
              .slice(0, 2),
          ).toEqual([head, body]);
          taken += 1;
          return;
        }
        expect(answer.statusCode).toBe(401);
        expect({ status, code }).toEqual({ status: "failed", code: expect.stringMatching(/^USR-TOKEN-/) });
        expect(remedy).toMatch(/./);
        seen.add(code);
        expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
        if (value.length > 40) expect(answer.body).not.toContain(value.slice(0, 40));
      }),
      { numRuns: count, seed },
    );
    expect(slowest).toBeLessThan(1_000);
    expect(taken).toBeLessThan(count / 10);
    const kinds = ["ALGORITHM", "INVALID", "KEY", "MISSING", "TOO-LARGE"].map((kind) => `USR-TOKEN-${kind}`);
    expect([...seen].sort()).toEqual(expect.arrayContaining(kinds));
    expect((await app.inject({ url: "/me", headers: { authorization: `Bearer ${good}` } })).json()).toEqual({
      user: "ada@uva.nl",
    });
    await app.close();
  });

  it("is answered with a code on the wire too, where it is larger than headers may be", async () => {
    const app = createHttp({ log, codes: "GW", status: (problem) => userStatusOf(problem.code) });
    onlyUsers(app, verifier);
    app.get("/me", (request) => ({ user: principalIn(request).user }));
    await app.listen({ host: "127.0.0.1", port: 0 });
    const { port } = app.server.address() as { port: number };
    const send = (authorization: string): Promise<string> =>
      new Promise((done, fail) => {
        let text = "";
        const socket = connect(port, "127.0.0.1", () =>
          socket.write(
            `GET /me HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: ${authorization}\r\n\r\n`,
          ),
        );
        socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        socket.once("end", () => socket.destroy());
        socket.once("close", () => done(text)).once("error", fail);
      });
    expect(await send(`Bearer ${"x".repeat(10_000)}`)).toMatch(/^HTTP\/1\.1 401 [\s\S]*USR-TOKEN-TOO-LARGE/);
    for (const size of [20_000, 3_000_000])
      expect(await send(`Bearer ${"x".repeat(size)}`)).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"GW-REQUEST"/);
    expect(await send("Bearer \u0001")).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"GW-REQUEST"/);
    expect(await send(`Bearer ${await issuer.token()}`)).toMatch(/^HTTP\/1\.1 200 [\s\S]*ada@uva\.nl/);
    await app.close();
  });
});

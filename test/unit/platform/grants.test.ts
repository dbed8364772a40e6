import type { KeyObject } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { GrantClaims, SignedClaims } from "../../../policy/contract/grants.js";
import { GrantSigner, importKey, readGrant, unknownKey } from "../../../policy/platform/grants.js";

/** `GRANT_CASES=100000 GRANT_SEED=1` tries more, or others. */
const COUNT = Number(process.env.GRANT_CASES ?? 5_000);
const SEED = Number(process.env.GRANT_SEED ?? 7);

/** Seeded numbers (Marsaglia's xorshift32). */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state % Math.max(1, limit);
  }
}

const claims: GrantClaims = {
  sub: "ada@uva.nl",
  job: "j",
  round: 3,
  token: 17,
  requestType: "t",
  archetype: "a",
  dataProviders: ["one", "two"],
  computeProviders: ["server"],
  dataSets: ["titanic"],
  columns: { titanic: ["age"] },
  agreements: { one: 1, two: 2 },
};
const NOW = Date.parse("2026-11-23T12:00:00Z");
const [old, now, stranger] = [new GrantSigner(), new GrantSigner(), new GrantSigner()];
const keys = new Map<string, KeyObject>([old, now].map(({ key }) => [key.kid, importKey(key)]));
const keyOf = (kid: string): KeyObject => {
  const key = keys.get(kid);
  if (key === undefined) throw unknownKey(kid);
  return key;
};
const read = (token: string, at = NOW, grace = 0): Promise<SignedClaims> =>
  readGrant(token, keyOf, at, grace);
const json = (part: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("a grant", () => {
  it("is taken from the enforcer's new key and, while it lives, from the old one", async () => {
    expect(await read(old.sign(claims, NOW))).toMatchObject(claims);
    expect(await read(now.sign(claims, NOW))).toMatchObject(claims);
    await expect(read(stranger.sign(claims, NOW))).rejects.toMatchObject({ code: "AGT-GRANT-KEY" });
  });

  it("has its time, and as much more as its round may last", async () => {
    const grant = now.sign(claims, NOW);
    expect(await read(grant, NOW + 64_000)).toMatchObject(claims);
    await expect(read(grant, NOW + 66_000)).rejects.toMatchObject({ code: "AGT-GRANT-EXPIRED" });
    expect(await read(grant, NOW + 90_000, 30)).toMatchObject(claims);
    await expect(read(grant, NOW + 96_000, 30)).rejects.toMatchObject({ code: "AGT-GRANT-EXPIRED" });
    await expect(read(grant, NOW - 6_000, 30)).rejects.toMatchObject({ code: "AGT-GRANT-EXPIRED" });
  });

  it(`is refused with a code within a second, however it is bent: ${COUNT} ways`, async () => {
    const dice = new Dice(SEED);
    const pick = <T>(...from: readonly T[]): T => from[dice.below(from.length)] as T;
    const met = new Map<string, number>();
    let slowest = 0;
    for (let i = 0; i < COUNT; i += 1) {
      const grant = now.sign(claims, NOW);
      const bent = bend(grant, dice, pick);
      const from = performance.now();
      const outcome = await read(bent).then(
        (got) => (bent === grant ? "same" : `taken: ${JSON.stringify(got)}`),
        (error: { code?: string }) => error.code ?? String(error),
      );
      slowest = Math.max(slowest, performance.now() - from);
      met.set(outcome, (met.get(outcome) ?? 0) + 1);
      if (!/^(same|AGT-GRANT-(INVALID|EXPIRED|KEY))$/.test(outcome))
        expect(outcome, `case ${i} of seed ${SEED}: ${bent.slice(0, 2_000)}`).toBe("a refusal with a code");
    }
    if (process.env.GRANT_CASES !== undefined)
      console.log(`${COUNT} grants of seed ${SEED}: ${JSON.stringify(Object.fromEntries(met))}`);
    expect(slowest).toBeLessThan(1_000);
    // Cases that all end alike would try nothing.
    for (const code of ["AGT-GRANT-INVALID", "AGT-GRANT-EXPIRED", "AGT-GRANT-KEY"])
      expect(met.get(code) ?? 0, code).toBeGreaterThan(COUNT / 100);
  }, 300_000);
});

/** One of the ways in which somebody might bend a grant. */
function bend(grant: string, dice: Dice, pick: <T>(...from: readonly T[]) => T): string {
  const [header = "", payload = "", signature = ""] = grant.split(".");
  const odd = (): unknown =>
    pick<unknown>(null, 0, -1, 1e308, "", "x".repeat(dice.below(3_000)), [], {}, [[null]], true, "__proto__");
  const field = (of: Record<string, unknown>): Record<string, unknown> => ({
    ...of,
    [pick(...Object.keys(of), "__proto__", "extra")]: odd(),
  });
  // As an enforcer would have to sign it: only what it says is wrong.
  const signed = (by: GrantSigner, change: object, at = NOW): string => by.sign({ ...claims, ...change }, at);
  switch (dice.below(9)) {
    case 0: {
      const bytes = Buffer.from(grant);
      for (let n = dice.below(4); n >= 0; n -= 1) bytes[dice.below(bytes.length)] = dice.below(256);
      // Of the signature's last character four bits say nothing: base64url has more than one text for the same bytes.
      const bent = bytes.toString("latin1");
      const same = Buffer.from(bent.split(".")[2] ?? "", "base64url").equals(
        Buffer.from(signature, "base64url"),
      );
      return same && bent.startsWith(`${header}.${payload}.`) ? grant : bent;
    }
    case 1:
      return grant.slice(0, dice.below(grant.length - 2));
    case 2:
      return `${text(field(json(header)))}.${payload}.${signature}`;
    case 3:
      return `${header}.${text({ ...field(json(payload)), bent: true })}.${signature}`;
    case 4:
      return `${text({ alg: pick("none", "HS256", "RS256", "ES256", "eddsa"), kid: now.key.kid })}.${payload}.${pick("", signature)}`;
    case 5:
      return stranger.sign(claims, NOW);
    case 6:
      return signed(now, {}, NOW + pick(-1, 1) * (66_000 + dice.below(1e9)));
    case 7:
      return signed(now, {
        [pick("job", "sub", "round", "token", "agreements", "dataProviders", "dataSets", "columns")]:
          pick<unknown>(null, 1.5, [1], undefined),
        ...pick({}, { iss: "someone-else" }),
      });
    default:
      return pick(
        ".".repeat(dice.below(5)),
        "a".repeat(65 * 1024),
        `${grant}.x`,
        "\u0000.\u0000.\u0000",
        "é.é.é",
      );
  }
}

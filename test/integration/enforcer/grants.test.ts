import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { GrantSigner, GrantVerifier } from "../../../policy/platform/grants.js";
import { Store } from "../../../policy/platform/store.js";
import { startStore, type TestStore, until } from "../../support/servers.js";

let server: TestStore;
let store: Store;
beforeAll(async () => {
  server = await startStore();
  store = await Store.connect({ endpoint: server.endpoint });
}, 60_000);
afterAll(async () => {
  await store?.close();
  await server?.stop();
}, 30_000);

describe("grants", () => {
  it("verify only as signed, by a known key, in their time", async () => {
    const signer = new GrantSigner();
    await signer.publish(store);
    const stranger = new GrantSigner();
    const verifier = await GrantVerifier.open(store);
    const claims = {
      sub: "ada",
      job: "j",
      round: 1,
      token: 7,
      requestType: "t",
      archetype: "a",
      dataProviders: ["one"],
      computeProviders: ["one"],
      dataSets: ["titanic"],
      columns: { titanic: ["age"] },
      agreements: { one: 1 },
    };
    const token = signer.sign(claims);
    expect(await verifier.verify(token)).toMatchObject(claims);

    const [header = "", payload = "", signature = ""] = token.split(".");
    const turn = (text: string, change: (v: Record<string, unknown>) => object) =>
      Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(text, "base64url").toString())))).toString(
        "base64url",
      );
    const forged = {
      "another round": `${header}.${turn(payload, (v) => ({ ...v, round: 2 }))}.${signature}`,
      "no signature": `${header}.${payload}.`,
      "alg none": `${turn(header, (v) => ({ ...v, alg: "none" }))}.${payload}.`,
      "alg HS256": `${turn(header, (v) => ({ ...v, alg: "HS256" }))}.${payload}.${signature}`,
      "a key elsewhere": `${turn(header, (v) => ({ ...v, kid: "../../agreements/one" }))}.${payload}.${signature}`,
      "four parts": `${token}.x`,
      nothing: "",
      noise: "a.b.c",
    };
    for (const [what, text] of Object.entries(forged)) {
      await expect(verifier.verify(text), what).rejects.toMatchObject({ code: "AGT-GRANT-INVALID" });
    }
    await expect(verifier.verify(stranger.sign(claims))).rejects.toMatchObject({ code: "AGT-GRANT-KEY" });
    const swapped = `${turn(header, (v) => ({ ...v, kid: signer.key.kid }))}.${stranger.sign(claims).split(".").slice(1).join(".")}`;
    await expect(verifier.verify(swapped)).rejects.toMatchObject({ code: "AGT-GRANT-INVALID" });
    await expect(verifier.verify(token, Date.now() + 66_000)).rejects.toMatchObject({
      code: "AGT-GRANT-EXPIRED",
    });
    expect(await verifier.verify(token, Date.now() + 55_000)).toMatchObject(claims);
    await expect(verifier.verify(token, Date.now() - 60_000)).rejects.toMatchObject({
      code: "AGT-GRANT-EXPIRED",
    });
    // A key that is taken from the store is trusted no more.
    await store.delete(KEY.grantKey(signer.key.kid));
    await until("the key is forgotten", () =>
      verifier.verify(token).then(
        () => false,
        (e: { code: string }) => e.code === "AGT-GRANT-KEY",
      ),
    );
    await verifier.close();
  });
});

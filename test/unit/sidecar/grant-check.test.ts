import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GrantKeysFile } from "../../../policy/agent/grant-keys.js";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import {
  decode,
  encode,
  type MicroserviceCommunication,
  packRequest,
} from "../../../policy/contract/wire.js";
import { GrantSigner } from "../../../policy/platform/grants.js";
import { createLogger } from "../../../policy/platform/log.js";
import { GrantCheck } from "../../../policy/sidecar/grant-check.js";
import { Ledger } from "../../../policy/sidecar/ledger.js";
import { Microservice } from "../../../policy/sidecar/microservice.js";

const folder = mkdtempSync(join(tmpdir(), "grant-check-"));
const identity = { job: "job-1", steward: "alpha", dataFolder: "/data" };
const claims: GrantClaims = {
  sub: "ada@uva.nl",
  job: "job-1",
  round: 1,
  token: 100,
  requestType: "count",
  archetype: "a",
  dataProviders: ["alpha"],
  computeProviders: ["beta"],
  dataSets: ["titanic"],
  columns: { titanic: ["age"] },
  agreements: { alpha: 7 },
};
const enforcer = new GrantSigner();
let file: GrantKeysFile;
beforeAll(() => {
  file = new GrantKeysFile(folder);
  file.write([enforcer.key]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A microservice that counts how often it works, and what it may read. */
function open() {
  const worked: unknown[] = [];
  const check = new GrantCheck(identity, { keysFile: file.path, roundSeconds: 30 });
  const handlers = {
    count: ({ round, dataSets, columns }: { round: number; dataSets: unknown; columns: unknown }) => {
      worked.push({ round, dataSets, columns });
      return {};
    },
  };
  const microservice = new Microservice(new Ledger(handlers), identity, check, createLogger("test", "fatal"));
  const ask = async (
    grant: string,
    { round = 1, role = "dataProvider", user = "ada@uva.nl", type = "count" } = {},
  ) => {
    const { body } = await microservice.answer(
      encode.microserviceCommunication({
        type: "microserviceCommunication",
        requestType: type,
        metadata: { round: String(round), step: "count", role, grant },
        originalRequest: packRequest({ type, user: { id: "1", userName: user } }),
        requestMetadata: { returnAddress: "alpha-in", correlationId: "c", jobId: "job-1" },
      }),
    );
    const { metadata }: MicroserviceCommunication = decode("microserviceCommunication", body);
    expect(metadata.grant).toBeUndefined();
    return metadata.error === undefined ? undefined : (JSON.parse(metadata.error) as { code: string }).code;
  };
  return { ask, worked };
}

describe("a microservice", () => {
  it("works for the enforcer's grant, is told what it may read, and gives the grant to nobody", async () => {
    const { ask, worked } = open();
    expect(await ask(enforcer.sign(claims))).toBeUndefined();
    expect(await ask(enforcer.sign({ ...claims, round: 2, token: 120 }), { round: 2 })).toBeUndefined();
    const may = { dataSets: ["titanic"], columns: { titanic: ["age"] } };
    expect(worked).toEqual([
      { round: 1, ...may },
      { round: 2, ...may },
    ]);
  });

  it("does nothing without one that is for this very step", async () => {
    const { ask, worked } = open();
    const grant = enforcer.sign(claims);
    const bent: readonly [string, string, Parameters<typeof ask>[1]?][] = [
      ["AGT-GRANT-MISSING", ""],
      ["AGT-GRANT-INVALID", "a.b.c"],
      ["AGT-GRANT-INVALID", `${grant.slice(0, -8)}AAAAAAAA`],
      ["AGT-GRANT-KEY", new GrantSigner().sign(claims)],
      ["AGT-GRANT-EXPIRED", enforcer.sign(claims, Date.now() - 100_000)],
      ["AGT-GRANT-JOB", enforcer.sign({ ...claims, job: "job-2" })],
      ["AGT-GRANT-ROUND", grant, { round: 2 }],
      ["AGT-GRANT-TYPE", grant, { type: "other" }],
      ["AGT-GRANT-USER", grant, { user: "eve" }],
      ["AGT-GRANT-ROLE", grant, { role: "computeProvider" }],
      ["AGT-GRANT-ROLE", enforcer.sign({ ...claims, dataProviders: ["gamma"] })],
      // A first approval's, which opens nothing.
      ["AGT-TOKEN-OLD", enforcer.sign({ ...claims, token: 0 })],
    ];
    for (const [code, token, more] of bent) expect(await ask(token, more), code).toBe(code);
    expect(worked).toEqual([]);
    // It was not the microservice that was wrong.
    expect(await ask(grant)).toBeUndefined();
  });

  it("refuses a round that is opened again or out of order, and answers a step that comes twice from memory", async () => {
    const { ask, worked } = open();
    const first = enforcer.sign(claims);
    const second = enforcer.sign({ ...claims, round: 2, token: 120 });
    expect(await ask(first)).toBeUndefined();
    expect(await ask(first)).toBeUndefined();
    expect(await ask(enforcer.sign({ ...claims, token: 130 }))).toBe("AGT-TOKEN-WRONG");
    expect(await ask(enforcer.sign({ ...claims, round: 2, token: 90 }), { round: 2 })).toBe("AGT-TOKEN-OLD");
    expect(await ask(second, { round: 2 })).toBeUndefined();
    expect(await ask(enforcer.sign({ ...claims, round: 4, token: 140 }), { round: 4 })).toBeUndefined();
    expect(await ask(enforcer.sign({ ...claims, round: 3, token: 150 }), { round: 3 })).toBe("AGT-TOKEN-OLD");
    expect(worked).toHaveLength(3);
  });

  it("takes a grant late in its round, and one of an enforcer that came later, while the old one's live out", async () => {
    const { ask } = open();
    expect(await ask(enforcer.sign(claims, Date.now() - 80_000))).toBeUndefined();
    const next = new GrantSigner();
    const grant = next.sign({ ...claims, round: 2, token: 120 });
    expect(await ask(grant, { round: 2 })).toBe("AGT-GRANT-KEY");
    file.write([enforcer.key, next.key]);
    expect(await ask(grant, { round: 2 })).toBeUndefined();
    expect(await ask(enforcer.sign({ ...claims, round: 3, token: 130 }), { round: 3 })).toBeUndefined();
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../../policy/contract/problem.js";
import { type Principal, principalOf } from "../../../policy/users/principal.js";
import { apiRefusal, maySeeJob, requesterOf, userStatusOf } from "../../../policy/users/rights.js";

const NAMES = { userClaim: "sub", rolesClaim: "roles" };
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
};
const nobody: Principal = { user: "u", subject: "u", requester: false, operator: false, stewardOf: [] };

describe("whom a token names", () => {
  it("is the subject and its roles where nothing else is configured", () => {
    expect(
      principalOf({ sub: "ada", roles: ["requester", "steward:one", "steward:two", "chef"] }, NAMES),
    ).toEqual({
      user: "ada",
      subject: "ada",
      requester: true,
      operator: false,
      stewardOf: ["one", "two"],
    });
  });

  it("is what the configured claims say, also deep ones and those with a URL as name", () => {
    const claims = {
      sub: "8f2c",
      preferred_username: "ada@uva.nl",
      realm_access: { roles: ["operator"] },
      "https://example.org/roles": "requester steward:one",
    };
    const keycloak = { userClaim: "preferred_username", rolesClaim: "realm_access.roles" };
    expect(principalOf(claims, keycloak)).toMatchObject({
      user: "ada@uva.nl",
      subject: "8f2c",
      operator: true,
    });
    const auth0 = { userClaim: "preferred_username", rolesClaim: "https://example.org/roles" };
    expect(principalOf(claims, auth0)).toMatchObject({
      requester: true,
      operator: false,
      stewardOf: ["one"],
    });
  });

  it("is nobody where the claim is missing, no name, or an address that was not verified", () => {
    for (const sub of [undefined, "", 7, null, ["ada"], "a b", "a/b", "a\n", "x".repeat(255)])
      expect(
        codeOf(() => principalOf({ sub, roles: [] }, NAMES)),
        String(sub),
      ).toBe("USR-CLAIM");
    const byMail = { userClaim: "email", rolesClaim: "roles" };
    const email = "ada@uva.nl";
    for (const email_verified of [undefined, false, "true", 1])
      expect(codeOf(() => principalOf({ sub: "1", email, email_verified }, byMail))).toBe("USR-CLAIM");
    expect(principalOf({ sub: "1", email, email_verified: true }, byMail).user).toBe(email);
  });

  it("has no role that the claim does not say word for word, whatever the claims are", () => {
    const role = fc.oneof(
      fc.constantFrom(
        "requester",
        "operator",
        "steward:one",
        "steward:",
        "steward",
        "Operator",
        "operator ",
        "steward:a b",
      ),
      fc.string(),
    );
    const claims = fc.record(
      {
        sub: fc.constant("ada"),
        roles: fc.oneof(fc.array(fc.oneof(role, fc.anything())), role, fc.anything()),
      },
      { requiredKeys: ["sub"] },
    );
    fc.assert(
      fc.property(claims, (given) => {
        const principal = principalOf(given, NAMES);
        const said =
          typeof given.roles === "string"
            ? given.roles.split(" ")
            : Array.isArray(given.roles)
              ? given.roles
              : [];
        expect(principal.requester).toBe(said.includes("requester"));
        expect(principal.operator).toBe(said.includes("operator"));
        for (const party of principal.stewardOf) expect(said).toContain(`steward:${party}`);
      }),
    );
  });

  it("is a person or a coded error for any claims at all", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.anything()),
        fc.string(),
        fc.string(),
        (claims, userClaim, rolesClaim) => {
          expect([undefined, "USR-CLAIM"]).toContain(
            codeOf(() => principalOf(claims, { userClaim, rolesClaim })),
          );
        },
      ),
    );
  });
});

describe("what a user may do", () => {
  it("is to send requests in their own name only", () => {
    const ada = { ...nobody, user: "ada@uva.nl", subject: "8f2c", requester: true };
    expect(requesterOf(ada)).toEqual({ id: "8f2c", userName: "ada@uva.nl" });
    expect(requesterOf(ada, { userName: "ada@uva.nl" })).toEqual({ id: "8f2c", userName: "ada@uva.nl" });
    fc.assert(
      fc.property(fc.string(), (userName) => {
        fc.pre(userName !== ada.user);
        expect(codeOf(() => requesterOf(ada, { userName }))).toBe("USR-NOT-YOU");
      }),
    );
    expect(codeOf(() => requesterOf({ ...ada, requester: false, operator: true, stewardOf: ["one"] }))).toBe(
      "USR-ROLE",
    );
  });

  it("is to see one's own jobs, and all as an operator", () => {
    expect(maySeeJob({ ...nobody, user: "ada" }, "ada")).toBe(true);
    expect(maySeeJob({ ...nobody, user: "eve" }, "ada")).toBe(false);
    expect(maySeeJob({ ...nobody, user: "eve", operator: true }, "ada")).toBe(true);
  });

  it("is as a steward to read and change one's own agreement, and nothing else", () => {
    const party = fc.constantFrom("one", "two", "three");
    const call = fc.record({
      method: fc.constantFrom("GET", "PUT", "PATCH", "DELETE", "POST", "HEAD"),
      agreement: fc.option(party, { nil: undefined }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(party),
        fc.boolean(),
        call,
        (stewardOf, requester, { method, agreement }) => {
          const refusal = apiRefusal({ ...nobody, requester, stewardOf }, { method, agreement });
          const allowed =
            agreement !== undefined &&
            stewardOf.includes(agreement) &&
            ["GET", "PUT", "PATCH"].includes(method);
          expect(refusal === undefined).toBe(allowed);
          if (refusal !== undefined) expect(userStatusOf(refusal.code)).toBe(403);
          expect(apiRefusal({ ...nobody, operator: true }, { method, agreement })).toBeUndefined();
        },
      ),
    );
  });
});

import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { onlyContext, reachedAt } from "../../../infra/cluster/kubeconfig.js";

const two = `
apiVersion: v1
kind: Config
clusters:
  - { name: lab, cluster: { server: "https://10.0.0.1:6443", certificate-authority-data: Q0E= } }
  - { name: prod, cluster: { server: "https://prod:6443" } }
users:
  - { name: me, user: { client-key-data: S0VZ } }
  - { name: boss, user: { token: secret-of-prod } }
contexts:
  - { name: lab, context: { cluster: lab, user: me, namespace: x } }
  - { name: prod, context: { cluster: prod, user: boss } }
current-context: lab
`;
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "none";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("a kubeconfig", () => {
  it("of one context has nothing of the others", () => {
    expect(onlyContext(two, undefined)).not.toContain("secret-of-prod");
    expect(parse(onlyContext(two, "prod"))).toMatchObject({
      "current-context": "prod",
      users: [{ name: "boss" }],
      clusters: [{ name: "prod" }],
    });
    expect(parse(onlyContext(two, "lab")).contexts).toEqual([
      { name: "lab", context: { cluster: "lab", user: "me", namespace: "x" } },
    ]);
  });

  it("points to where the cluster is reached, by IPv6 too, under the cluster's name", () => {
    expect(parse(reachedAt(two, "vfl", "2001:db8::1"))).toEqual({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "vfl",
          cluster: { server: "https://[2001:db8::1]:6443", "certificate-authority-data": "Q0E=" },
        },
      ],
      users: [{ name: "vfl-admin", user: { "client-key-data": "S0VZ" } }],
      contexts: [{ name: "vfl", context: { cluster: "vfl", user: "vfl-admin" } }],
      "current-context": "vfl",
    });
  });

  it("that is none, or has no such context, is told without quoting it", () => {
    expect(codeOf(() => onlyContext("secret: [", "x"))).toBe("CLU-KUBECONFIG");
    expect(codeOf(() => onlyContext("clusters: 3", "x"))).toBe("CLU-KUBECONFIG");
    expect(codeOf(() => onlyContext(two, "prd"))).toBe("CLU-CONTEXT-UNKNOWN");
  });
});

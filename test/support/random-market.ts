import fc from "fast-check";
import type { KubernetesInput } from "../../dynamos/kubernetes/plan.js";
import type { AgentPlace } from "../../dynamos/placement.js";
import type { UsersInput } from "../../dynamos/services.js";
import { DOCUMENT_KINDS } from "../../policy/contract/documents.js";

/** Every party and node that a specification may name. */
const party = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,55}$/);
const node = fc.stringMatching(/^[a-z][a-z0-9-]{0,61}[a-z0-9]$/);

const ROOMS = ["gateway", "orchestrator", "enforcer", "agent", "setup", "microservice", "broker", "store"];

/** An issuer that nobody asks. */
export const USERS: UsersInput = {
  issuer: "https://login.example",
  audience: "market",
  userClaim: "email",
  rolesClaim: "roles",
};

/** References to images that nobody pulls. */
export const imagesOf = (registry = "registry.example/fabric") =>
  Object.fromEntries(
    ROOMS.map((room) => [room, { image: `${registry}/${room}:1`, digest: `sha256:${room}` }]),
  );

/** Any marketplace that a specification allows, on a cluster. */
export const markets: fc.Arbitrary<KubernetesInput> = fc.record({
  placement: fc.record({
    core: node,
    agents: fc.uniqueArray(
      fc.record({ party, node, role: fc.constantFrom("agent" as const, "thirdParty" as const) }),
      { selector: (a: AgentPlace) => a.party.toLowerCase(), maxLength: 6 },
    ),
  }),
  documents: fc.uniqueArray(
    fc
      .record({
        kind: fc.constantFrom(...DOCUMENT_KINDS),
        name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/),
      })
      .map(({ kind, name }) => ({ kind, name, file: `${kind}/${name}.json`, value: { name } })),
    { selector: ({ kind, name }) => `${kind} ${name}`, maxLength: 3 },
  ),
  options: fc.record(
    {
      namespacePrefix: fc
        .stringMatching(/^[a-z][a-z0-9-]{0,19}$/)
        .filter((prefix) => !prefix.startsWith("kube-")),
      storageClass: fc.constantFrom("fast"),
      ingressClass: fc.constantFrom("nginx"),
      users: fc.constant(USERS),
      images: fc
        .record({ from: fc.constantFrom("registry" as const, "archive" as const), pullSecret: fc.boolean() })
        .map((images) => ({ ...images, references: imagesOf() })),
    },
    { requiredKeys: ["images", "users"] },
  ),
});

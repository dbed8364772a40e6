import { z } from "zod";
import type { Problem } from "../infra/problem.js";
import { isSecureUrl, TOKEN_DEFAULTS } from "../policy/contract/users.js";
import { clusterSchema, kubernetesSchema } from "./cluster-options.js";
import { placementProblems, ROLES } from "./placement.js";
import { specIssues } from "./spec-issues.js";

/** Where the marketplace runs. */
export const TARGETS = ["local", "fabric", "hosts", "kubernetes"] as const;
export type Target = (typeof TARGETS)[number];

/** Lower case, as a host name must be on a cluster. */
export const NODE_NAME = /^[a-z][a-z0-9-]{0,61}[a-z0-9]$/;
/** Lower or upper case, as agreements name parties. */
export const PARTY_NAME = /^[A-Za-z][A-Za-z0-9-]{0,55}$/;
/** `14d` or `36h`. */
export const LEASE = /^[1-9][0-9]{0,3}[dh]$/;

const nodeSchema = z
  .strictObject({
    role: z
      .enum(ROLES)
      .describe(
        "control: the cluster's control plane. core: orchestrator, policy enforcer, gateway, broker and store. agent: a party with data. thirdParty: a party that only computes.",
      ),
    site: z
      .string()
      .min(1)
      .optional()
      .describe("FABRIC site, e.g. AMST (all: `dynamos-fabric sites`). For the targets local and fabric."),
    host: z
      .string()
      .min(1)
      .optional()
      .describe("Address or Kubernetes node name, in place of `site`. For the targets hosts and kubernetes."),
    cores: z.int().min(1).default(4).describe("Processor cores."),
    ram: z.int().min(1).default(16).describe("Memory in GB."),
    disk: z.int().min(1).default(50).describe("Disk in GB."),
    image: z.string().min(1).optional().describe("FABRIC image name. Default: the slice's own default."),
    components: z
      .array(z.string().min(1))
      .optional()
      .describe("FABRIC components beside the network card, e.g. GPU_A30."),
    siteNetwork: z
      .boolean()
      .optional()
      .describe(
        "Whether the node is on its site's FABNetv4 network. false: it has no address there, so its role can only be control, and on target fabric not that either, as the control plane is reached by it. Default: true.",
      ),
    party: z
      .string()
      .regex(PARTY_NAME, "letters, digits and -, a letter first, at most 56")
      .optional()
      .describe("The member of agreements whose agent runs here. Default: the node's name."),
    data: z
      .string()
      .regex(/^\/[^\p{Cc}\\]*[^\p{Cc}\\/ ]$/u, "an absolute path, without a / at its end")
      .optional()
      .describe(
        "Folder on the node with the party's data, which are there already. Default: the experiment's data/<party>, which on targets fabric and hosts is copied to this node only.",
      ),
  })
  .describe("One node.");

const sshPort = z.int().min(1).max(65_535).default(22).describe("SSH's port.");
const sshUser = z.string().regex(/^[a-z_][a-z0-9_.-]*$/i, "the name of a user");
const keyFile = z.string().min(1).optional();
const machinesSchema = z
  .strictObject({
    user: sshUser
      .default("ubuntu")
      .describe("Who is logged in as: root, or a user with sudo without a password."),
    port: sshPort,
    keyFile: keyFile.describe(
      "The private key's file, relative to Pulumi.yaml or from ~. Default: ~/.ssh/id_ed25519.",
    ),
    bastion: z
      .strictObject({
        host: z.string().min(1).describe("Its name or address."),
        port: sshPort,
        user: sshUser.optional().describe("Default: as on the machines."),
        keyFile: keyFile.describe("Default: the machines' key."),
      })
      .optional()
      .describe("A machine that all logins pass through."),
  })
  .optional()
  .describe("How the machines of target hosts are logged in to.");

/** The whole configuration of a marketplace: the value of `dynamos-fabric:marketplace`. */
export const marketplaceSchema = z
  .strictObject({
    target: z
      .enum(TARGETS)
      .default("local")
      .describe(
        "local: on this machine, no account. fabric: a FABRIC slice. hosts: machines of your own. kubernetes: an existing cluster.",
      ),
    experiment: z
      .string()
      .min(1)
      .describe("Folder with agreements, data, request types and microservices, relative to Pulumi.yaml."),
    nodes: z
      .record(
        z.string().regex(NODE_NAME, "lower case letters, digits and -, a letter first, 2 to 63"),
        nodeSchema,
      )
      .describe("Nodes by name. Exactly one has the role core."),
    lease: z
      .string()
      .regex(LEASE, "a number of days or hours, e.g. 14d or 36h")
      .default("14d")
      .describe("How long FABRIC keeps the slice, counted from its creation: days (14d) or hours (36h)."),
    renewWithin: z
      .string()
      .regex(LEASE, "a number of days or hours, e.g. 3d or 12h")
      .optional()
      .describe(
        "`up` and `renew` renew the lease when less than this is left: days (3d) or hours (12h), shorter than the lease. Default: 3d, or half of a lease shorter than 6d.",
      ),
    ports: z
      .strictObject({
        gateway: z
          .int()
          .min(1)
          .max(65_535)
          .optional()
          .describe("Port of the API gateway on 127.0.0.1. Default: any free one, kept over restarts."),
      })
      .optional()
      .describe("Fixed ports on this machine."),
    users: z
      .strictObject({
        issuer: z
          .string()
          .refine(isSecureUrl, "an https URL, or http on this machine's loopback")
          .describe("URL of the OpenID Connect issuer, exactly as its tokens have it in `iss`."),
        audience: z
          .string()
          .min(1)
          .default(TOKEN_DEFAULTS.audience)
          .describe("What a token's `aud` must contain."),
        userClaim: z
          .string()
          .min(1)
          .default(TOKEN_DEFAULTS.userClaim)
          .describe(
            "Claim with the user's name as agreements write it; a path with dots where it lies deeper. It must be one that users cannot choose themselves.",
          ),
        rolesClaim: z
          .string()
          .min(1)
          .default(TOKEN_DEFAULTS.rolesClaim)
          .describe(
            "Claim with the user's roles: requester, steward:PARTY, operator. Others count for nothing.",
          ),
        caFile: z
          .string()
          .min(1)
          .optional()
          .describe(
            "Certificates (PEM) by which an issuer of one's own is known, relative to Pulumi.yaml. Default: the public ones.",
          ),
      })
      .optional()
      .describe(
        "Whose access tokens are taken. Default for target local: a development issuer on this machine, which gives `dynamos-fabric token` a token for any user. The other targets need one.",
      ),
    machines: machinesSchema,
    cluster: clusterSchema.optional(),
    kubernetes: kubernetesSchema.optional(),
  })
  .describe("A data marketplace: its nodes, and the experiment that says who may do what with which data.");

/** What a person writes. */
export type MarketplaceInput = z.input<typeof marketplaceSchema>;
/** What it means: defaults filled in. */
export type MarketplaceSpec = z.output<typeof marketplaceSchema>;
export type NodeSpec = MarketplaceSpec["nodes"][string];

/** A specification, or everything that is wrong with it. */
export type Resolved =
  | { readonly spec: MarketplaceSpec; readonly problems?: undefined }
  | { readonly problems: readonly Problem[]; readonly spec?: undefined };

/**
 * Reads the configuration object: form first, then what no single value can show (one core, a node for each name, sites where FABRIC is the
 * target). All problems come at once, each with the path of the value; the site names themselves are checked by the preflight.
 *
 * Codes: SPEC-MISSING, SPEC-TYPE, SPEC-KEY-UNKNOWN, SPEC-ROLE-UNKNOWN, SPEC-TARGET-UNKNOWN, SPEC-LEASE, SPEC-NAME, SPEC-VALUE, and those of
 * {@link placementProblems}.
 *
 * @param file where the object was read from, shown with each problem
 */
export function resolveSpec(raw: unknown, file?: string): Resolved {
  const inFile = (problems: readonly Problem[]): Problem[] =>
    problems.map((p) => (file === undefined ? p : { ...p, file }));
  const parsed = marketplaceSchema.safeParse(raw);
  const together = placementProblems(raw);
  const twice = new Set(together.filter((p) => p.code === "SPEC-NODE-TWICE").map((p) => p.path));
  // A second "clientTwo" is told of as that, not also as a name with a capital.
  const form = parsed.success
    ? []
    : specIssues(parsed.error, raw, marketplaceSchema).filter(
        (p) => p.code !== "SPEC-NAME" || !twice.has(p.path),
      );
  const problems = [...form, ...together];
  if (parsed.success && problems.length === 0) return { spec: parsed.data };
  return { problems: inFile(problems) };
}

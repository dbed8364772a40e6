// The arrows of the house: dynamos -> infra, dynamos -> policy/contract and policy/setup, nothing else, no cycles.
/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "infra-knows-nobody",
      severity: "error",
      from: { path: "^infra/" },
      to: { path: "^(dynamos|policy|test|examples)/" },
    },
    {
      name: "policy-knows-nobody",
      severity: "error",
      from: { path: "^policy/" },
      to: { path: "^(dynamos|infra|test|examples)/" },
    },
    {
      name: "policy-knows-no-pulumi",
      severity: "error",
      from: { path: "^policy/" },
      to: { path: "@pulumi/" },
    },
    {
      name: "dynamos-only-the-contract-and-setup",
      comment:
        "what a deployment does at store and orchestrator: a provider runs it here, a Job in a cluster",
      severity: "error",
      from: { path: "^dynamos/" },
      to: { path: "^policy/(?!contract/|setup/(?!main\\.ts))" },
    },
    {
      name: "setup-is-no-service",
      severity: "error",
      from: { path: "^policy/setup/(?!main\\.ts)" },
      to: { path: "^policy/(?!contract/|setup/)" },
    },
    {
      name: "command-without-the-sdk",
      comment: "half a second of modules that only the engine's programs need",
      severity: "error",
      from: { path: "^dynamos/cli/" },
      to: { path: "@pulumi/pulumi", reachable: true },
    },
    {
      name: "dynamos-no-tests",
      severity: "error",
      from: { path: "^dynamos/" },
      to: { path: "^(test|examples)/" },
    },
    {
      name: "contract-is-the-bottom",
      severity: "error",
      from: { path: "^policy/contract/" },
      to: { path: "^policy/(?!contract/)" },
    },
    {
      name: "decision-is-pure",
      severity: "error",
      from: { path: "^policy/decision/" },
      to: { path: "^policy/(?!decision/|contract/)|^(node:)?(fs|net|http|child_process)$" },
    },
    {
      name: "no-dev-dependency",
      severity: "error",
      from: { path: "^(infra|dynamos|policy)/" },
      to: { dependencyTypes: ["npm-dev"], pathNot: "@pulumi/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};

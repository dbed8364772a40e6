/** A program that makes the cluster which the file CLUSTER_SPEC describes. */
export const clusterProgram = `
const { readFileSync } = require("fs");
const { KubesprayCluster } = require("dynamos-fabric/infra");
const { hosts, options } = JSON.parse(readFileSync(process.env.CLUSTER_SPEC, "utf8"));
const cluster = new KubesprayCluster("lab", { ...options, hosts });
module.exports = { kubeconfig: cluster.kubeconfig, nodes: cluster.nodes };
`;

/** A program that makes a slice and the cluster on it, as the file LAB_SPEC describes them. */
export const clusterProgram = `
const { readFileSync } = require("fs");
const { FabricSlice, fabricHosts, kubesprayDrain, KubesprayCluster, sliceApi } = require("dynamos-fabric/infra");
const { nodes, options } = JSON.parse(readFileSync(process.env.LAB_SPEC, "utf8"));
const slice = new FabricSlice("lab", { nodes, beforeRemove: kubesprayDrain() });
const cluster = new KubesprayCluster("lab", {
  ...options,
  hosts: fabricHosts(slice, { control: ["control"] }),
  api: sliceApi("lab-api", { slice, control: "control" }),
});
module.exports = { kubeconfig: cluster.kubeconfig };
`;

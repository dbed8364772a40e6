const { FabricSlice } = require("dynamos-fabric/infra");
const slice = new FabricSlice("two-sites", { nodes: { ams: { site: "AMST" }, losa: { site: "LOSA" } } });
exports.hosts = slice.hosts;

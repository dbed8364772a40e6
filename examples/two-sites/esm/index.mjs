import { FabricSlice } from "dynamos-fabric/infra";

const slice = new FabricSlice("two-sites", { nodes: { ams: { site: "AMST" }, losa: { site: "LOSA" } } });
export const hosts = slice.hosts;

import { Provider } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { lockedImages, Marketplace } from "dynamos-fabric/kubernetes";

const config = new pulumi.Config();
const { core, agents, users } = config.requireObject("market");
const images = lockedImages(".", "titanic");
const provider = new Provider("cluster", { context: config.get("context") });
const market = new Marketplace("vfl", { experiment: "titanic", core, agents, users, images }, { provider });
export const gatewayUrl = market.gatewayUrl;

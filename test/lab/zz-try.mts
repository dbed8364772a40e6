import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TestStack } from "../support/engine.js";
import { clusterImages } from "./cluster-images.js";
import { packCollection } from "./collection.js";
import { clusterPrograms } from "./programs.js";
import { Testbed } from "./testbed.js";

const t0 = Date.now();
const say = (t: string) => console.log(((Date.now() - t0) / 1000).toFixed(1), t);
const programs = await clusterPrograms(say);
const images = await clusterImages(programs.coredns);
say(images);
const bed = new Testbed(); process.env.TMPDIR = bed.folder;
const env = await bed.start();
say(bed.folder);
const archive = join(bed.shared, "collection.tar.gz");
await packCollection(archive, { programs, images, cgroup: bed.name });
const program = `
const { FabricSlice, fabricHosts, KubesprayCluster } = require("dynamos-fabric/infra");
const slice = new FabricSlice("lab", { endpoint: { kind: "fabric" }, nodes: {
  control: { site: "AMST", cores: 2, ram: 8, disk: 10, image: "default_ubuntu_24" }, losa: { site: "LOSA", cores: 2, ram: 8, disk: 10 , image: "default_ubuntu_24" }, toky: { site: "TOKY", cores: 2, ram: 8, disk: 10, image: "default_ubuntu_24" } } });
const cluster = new KubesprayCluster("lab", { hosts: fabricHosts(slice, { control: ["control"] }), kubespray: { source: "file://${archive}" }, outbound: [], nat64: false, minimum: { ram: 0.5, disk: 1 }, tools: { k9s: false, helm: false }, deadline: "5m", patience: "30s" });
module.exports = { kubeconfig: cluster.kubeconfig, nodes: cluster.nodes };
`;
const stack = new TestStack({ program, env });
writeFileSync("/tmp/klab-bed", bed.folder);
const up = await stack.up();
say(up.text.slice(-6000));
say(String(up.code));
if (up.code === 0) {
  console.log(
    await bed.on(
      "control",
      "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o wide; sudo kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -A -o wide",
    ),
  );
}
say("waiting");
while (!(await import("node:fs")).existsSync("/tmp/klab-stop")) await sleep(500);
stack.end();
await bed.end();
say("ended");

// Builds what the lab's clusters are made of, into the cache: minutes the first time, nothing after it. `tsx test/lab/build.ts`
import { clusterImages } from "./cluster-images.js";
import { clusterPrograms } from "./programs.js";

clusterPrograms((line) => console.log(line))
  .then(async ({ coredns }) => await clusterImages(coredns))
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });

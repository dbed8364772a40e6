import { clusterPrograms } from "./programs.js";

console.log(await clusterPrograms((t) => console.log(t, new Date())));

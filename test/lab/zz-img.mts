import { serverImages } from "./server-images.js";

console.log(await serverImages(), new Date());

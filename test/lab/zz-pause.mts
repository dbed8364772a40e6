import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { ImageWork } from "./image-work.js";

const out = "/root/.cache/dynamos-fabric/lab-tmp-images";
mkdirSync(out, { recursive: true });
const work = mkdtempSync("/tmp/zzp-");
const w = await ImageWork.open(work);
mkdirSync(work + "/p");
writeFileSync(work + "/pause.c", "#include <unistd.h>\nint main(void){for(;;)pause();}\n");
execFileSync("cc", ["-Os", "-static", "-s", "-o", work + "/p/pause", work + "/pause.c"]);
await w.save(
  "localhost/lab/pause:1",
  work + "/p",
  ["USER 65535:65535", 'ENTRYPOINT ["/pause"]'],
  out + "/pause.tar",
);
await w.save("localhost/lab/coredns:1", work + "/p", ['ENTRYPOINT ["/pause"]'], out + "/coredns.tar");
await w.close();

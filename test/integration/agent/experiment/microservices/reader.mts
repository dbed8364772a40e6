/** Tells what it finds in the folder that it is given: every file with its text, whatever it was granted. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { serve } from "dynamos-fabric/microservice";

serve({
  read({ dataFolder }) {
    const names = readdirSync(dataFolder);
    return {
      data: {
        dataFolder,
        files: Object.fromEntries(names.map((name) => [name, readFileSync(join(dataFolder, name), "utf8")])),
      },
    };
  },
});

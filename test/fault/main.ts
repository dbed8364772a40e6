// npm run test:fault -- --suite fabric|revocation [...]: the rest goes to the suite.
import { runAsScript } from "./suite.js";

async function main(args: string[]): Promise<void> {
  const at = args.indexOf("--suite");
  const name = at < 0 ? "" : args.splice(at, 2)[1];
  if (name === "revocation") return (await import("./revocation/main.js")).run(args);
  if (name === "fabric") return (await import("./fabric-suite.js")).run(args);
  throw new Error("name a suite: --suite fabric or --suite revocation");
}

runAsScript(main(process.argv.slice(2)));

/** A lab that is killed while it makes a cluster: what killed.test.ts starts. Says the lab's name and folder first. */
import { TestStack } from "../support/engine.js";
import { clusterProgram } from "./cluster-program.js";
import { Lab } from "./lab.js";

async function main(): Promise<void> {
  const lab = await Lab.open();
  console.log(
    JSON.stringify({ name: lab.testbed.name, folder: lab.testbed.folder, shared: lab.testbed.shared }),
  );
  const stack = new TestStack({ program: clusterProgram, env: lab.env });
  stack.environment({ LAB_SPEC: lab.writeSpec({ control: "AMST", losa: "LOSA" }) });
  const { text } = await stack.up();
  console.log(text);
}

void main();

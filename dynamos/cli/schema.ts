import type { Command } from "commander";
import { stackFileSchemaText } from "../schema.js";

/** `dynamos-fabric schema`: the JSON Schema of Pulumi.<stack>.yaml, as docs/marketplace.schema.json keeps it. */
export function registerSchema(program: Command): void {
  program
    .command("schema")
    .description("print the JSON Schema of Pulumi.<stack>.yaml, for editors")
    .action(() => void process.stdout.write(stackFileSchemaText()));
}

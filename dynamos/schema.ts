import { z } from "zod";
import { marketplaceSchema } from "./spec.js";

/**
 * JSON Schema (draft 7) of a stack's whole file, `Pulumi.<stack>.yaml`, with the configuration object inside: what editors complete and underline
 * by. Made from the same zod schema that the program checks with.
 */
export function stackFileSchema(): Readonly<Record<string, unknown>> {
  const { $schema, definitions, ...marketplace } = z.toJSONSchema(marketplaceSchema, {
    target: "draft-7",
    io: "input",
  }) as Record<string, unknown>;
  return {
    $schema,
    title: "A stack's configuration (Pulumi.<stack>.yaml) with a data marketplace",
    type: "object",
    properties: {
      config: {
        type: "object",
        description: "Configuration by key. Other programs' keys are not looked at.",
        properties: { "dynamos-fabric:marketplace": marketplace },
      },
    },
    // What they name refers to the whole file.
    ...(definitions === undefined ? {} : { definitions }),
  };
}

/** The file as it is kept in docs/marketplace.schema.json. */
export const stackFileSchemaText = (): string => `${JSON.stringify(stackFileSchema(), null, 2)}\n`;

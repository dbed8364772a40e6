/** The code behind Password; run in the engine's provider process (see infra/dynamic.ts). */
import { randomBytes, randomUUID } from "node:crypto";
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent } from "../../infra/dynamic.js";

endWithParent();

const BYTES = 32;

export const provider: dynamic.ResourceProvider<object, { readonly value: string }> = {
  async create(inputs) {
    return { id: randomUUID(), outs: { ...inputs, value: randomBytes(BYTES).toString("base64url") } };
  },
  async diff() {
    return { changes: false };
  },
};

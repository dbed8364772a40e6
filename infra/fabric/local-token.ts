import { join } from "node:path";
import { InfraError } from "../problem.js";
import { currentToken } from "./token-refresh.js";

/**
 * A token for the emulator: it takes any unless its scenario says otherwise; then a file in the stack's state folder has the one.
 *
 * @throws InfraError FAB-TOKEN-INVALID, FAB-TOKEN-EXPIRED
 */
export function localToken(state: string): string {
  try {
    return currentToken(join(state, "secrets", "fabric-token"));
  } catch (error) {
    if (error instanceof InfraError && error.code === "FAB-TOKEN-MISSING") return anybodysToken;
    throw error;
  }
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** Unsigned, and of no use but here. */
const anybodysToken = `${part({ alg: "none", typ: "JWT" })}.${part({ sub: "dynamos-fabric" })}.${part("local")}`;

/** Moved to infra/fabric/flavours.ts, where the preflight uses it as well. */
export * from "../flavours.js";

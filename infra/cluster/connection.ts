/** A host as a connection of `@pulumi/command`. Pure. */
import type { Host } from "./spec.js";

/** Seconds to dial once: a bastion and a machine far away. */
const dialSeconds = 20;
export type Connection = ReturnType<typeof connectionOf>;

export function connectionOf({ address, port, user, privateKey, hostKey, bastion }: Host) {
  const limits = { dialErrorLimit: 2, perDialTimeout: dialSeconds };
  const login = {
    host: address,
    port,
    user,
    privateKey,
    ...(hostKey === undefined ? {} : { hostKey }),
    ...limits,
  };
  if (bastion === undefined) return login;
  const { hostKey: bastionKey, ...proxy } = bastion;
  return {
    ...login,
    proxy: { ...proxy, ...(bastionKey === undefined ? {} : { hostKey: bastionKey }), ...limits },
  };
}

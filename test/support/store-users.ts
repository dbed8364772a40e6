import { readerRights, secretsOf, storeRightsOf, storeSecret } from "../../dynamos/store-rights.js";
import { type ServiceSpec, StateFolder } from "../../infra/local/index.js";
import { StoreAdmin } from "../../policy/setup/store-admin.js";
import { STORE_ROOT } from "../../policy/setup/store-user.js";

/** Makes the users of these services at a stack's store, as `up` does. */
export async function makeStoreUsers(
  state: string,
  port: number | undefined,
  specs: readonly ServiceSpec[],
): Promise<StoreAdmin> {
  const secrets = new StateFolder(state);
  const admin = new StoreAdmin(`127.0.0.1:${port}`, secrets.secret(storeSecret(STORE_ROOT)));
  await admin.enable();
  for (const rights of [...specs.flatMap((spec) => storeRightsOf(spec) ?? []), readerRights()])
    await admin.put(rights, secretsOf(rights, secrets));
  return admin;
}

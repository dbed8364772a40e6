/** FABlib's own data in an element's UserData, beside our mark. */
export const fablibKey = "fablib_data";

/**
 * What a network of ours says to FABlib: without it `network.get_subnet()` and `get_gateway()` answer with a placeholder, since FABlib takes a network
 * for addressed once it has configured it itself. Source: fabrictestbed-extensions 2.0.9, NetworkService.is_instantiated and init_fablib_data.
 */
export const addressedForFablib: Readonly<Record<string, unknown>> = {
  [fablibKey]: { instantiated: "True", mode: "manual" },
};

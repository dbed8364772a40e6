/** What images and those who run them must agree on. */

/** The folder in an image that its programs lie below. */
export const IMAGE_FOLDER = "/app";

/** Where a microservice's entry is in the image of its experiment: `microservices/a.mts` is bundled into `microservices/a.js`. */
export const programOf = (entry: string): string => entry.replace(/\.[^./]*$/, "").concat(".js");

/** The user and group that everything in an image runs as: a number that no system gives to anybody. */
export const IMAGE_USER = 10_001;

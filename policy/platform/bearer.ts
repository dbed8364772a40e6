import { createHash, timingSafeEqual } from "node:crypto";

/** The token of a header `Authorization: Bearer TOKEN`; `undefined`: there is none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
}

/** Tells whether a header bears a secret. Compares digests: their length is no secret, and it takes the same time wherever they differ. */
export function bearerCheck(secret: string): (authorization: string | undefined) => boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const wanted = digest(secret);
  return (authorization) => {
    const given = bearerToken(authorization);
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

/** What the emulated credential manager keeps. Times are milliseconds since 1970. */

export interface CredentialState {
  /** Of its key; in each token's header and in /certs. */
  readonly keyId: string;
  /** RSA, PKCS 8 in PEM. The emulator's own, good for nothing else. */
  readonly privateKey: string;
  readonly tokens: readonly IssuedToken[];
  readonly refreshTokens: readonly RefreshToken[];
}

/** One whose claims a token has. */
export interface Person {
  readonly uuid: string;
  readonly email: string;
  readonly name: string;
  readonly project: { readonly uuid: string; readonly name: string; readonly tags: readonly string[] };
}

/** An identity token is known by its hash only, as at the real one. */
export interface IssuedToken {
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly state: "Valid" | "Refreshed" | "Revoked";
  readonly createdFrom: string;
  readonly comment: string;
  readonly email: string;
  readonly projectId: string;
}

/** Good for one use. */
export interface RefreshToken {
  readonly hash: string;
  readonly expiresAt: number;
  readonly used: boolean;
  readonly person: Person;
}

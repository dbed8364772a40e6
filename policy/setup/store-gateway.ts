import { CodedError } from "../contract/problem.js";

const callSeconds = 5;
/** A call that meets a change of the store's users is refused, and taken when it comes again. */
const mostAttempts = 20;
const OLD_RIGHTS = /revision (of auth store|in header) is old/;

/** What etcd said, in its own words. */
export class StoreRefusal extends CodedError {
  readonly words: string;

  constructor(path: string, words: string) {
    super({
      code: "STO-ADMIN",
      path,
      message: `the store refused ${path}: ${words}`,
      remedy: "see the store's log",
    });
    this.words = words;
  }
}

/** Who calls, by the file of the password: it never travels in arguments. */
export interface StoreLogin {
  readonly user: string;
  readonly password: string;
}

/**
 * etcd's v3 JSON gateway: what a command or the engine asks of the store directly. Not the services' client, so that a fault in that cannot hide here.
 * Throws CodedError: STO-ADMIN-UNREACHABLE when it does not answer, STO-ADMIN ({@link StoreRefusal}) when it refuses.
 */
export class StoreGateway {
  readonly #endpoint: string;
  readonly #login: StoreLogin | undefined;
  #token: string | undefined;

  /** @param endpoint `host:port` */
  constructor(endpoint: string, login?: StoreLogin) {
    this.#endpoint = endpoint;
    this.#login = login;
  }

  /** A token; an error that says why not. */
  async logIn(): Promise<string> {
    const { user: name, password } = this.#login ?? { user: "", password: "" };
    const answer = await (await this.#send("auth/authenticate", { name, password })).json();
    return (answer as { readonly token: string }).token;
  }

  async call<A>(path: string, body: object): Promise<A> {
    return (await (await this.open(path, body)).json()) as A;
  }

  /** The answer as it comes: for a watch, which has no end. */
  async open(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    if (this.#login === undefined) return await this.#send(path, body, signal);
    const known = this.#token !== undefined;
    this.#token ??= await this.logIn();
    try {
      return await this.#send(path, body, signal);
    } catch (error) {
      // etcd forgets tokens when it restarts and when they are not used: then a new one is got.
      if (!known || !(error instanceof StoreRefusal) || !/invalid auth token/.test(error.words)) throw error;
      this.#token = undefined;
      return await this.open(path, body, signal);
    }
  }

  async #send(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      const response = await this.#post(path, body, signal ?? AbortSignal.timeout(callSeconds * 1000));
      if (response.ok) return response;
      const text = await response.text();
      if (attempt === mostAttempts || !OLD_RIGHTS.test(text)) throw new StoreRefusal(path, wordsOf(text));
    }
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(`http://${this.#endpoint}/v3/${path}`, {
        method: "POST",
        ...(this.#token === undefined ? {} : { headers: { authorization: this.#token } }),
        body: JSON.stringify(body),
        signal,
      });
    } catch (error) {
      const cause =
        error instanceof Error ? (error.cause as { readonly code?: string } | undefined) : undefined;
      throw new CodedError(
        {
          code: "STO-ADMIN-UNREACHABLE",
          path,
          message: `the store at ${this.#endpoint} does not answer: ${cause?.code ?? String(error)}`,
          remedy: "see the store's log; `up` starts a store that is down",
        },
        { cause: error },
      );
    }
  }
}

function wordsOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { readonly error?: string | { readonly message?: string } };
    const words = typeof error === "string" ? error : error?.message;
    return words ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200); // no JSON: as it is
  }
}

/** Keys and values travel in base64. */
export const base64 = (text: string): string => Buffer.from(text).toString("base64");
export const fromBase64 = (text: string): string => Buffer.from(text, "base64").toString();

/** The end of the range of all keys with this prefix: the prefix with its last byte increased. Prefixes of ours end with ASCII. */
export const prefixEnd = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);

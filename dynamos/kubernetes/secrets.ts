import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { rabbitmqPasswordHash, rabbitmqSaltBytes } from "../../infra/local/rabbitmq-hash.js";
import { agentKeyPair } from "../../policy/contract/agent-key.js";
import { SECRET_IN_TEXT } from "./objects.js";
import { Password } from "./password.js";

/** The secrets that a plan names, as Pulumi secrets: in state they are encrypted, in previews `[secret]`. */
export interface Secrets {
  /** The secret's text, by the name the plan gives it, e.g. `broker-agent-clientone`. */
  value(name: string): pulumi.Output<string>;
}

/** Passwords that are made on first use, and kept in the stack's state. */
export function generatedSecrets(
  name: string,
  options: pulumi.CustomResourceOptions,
  given: Readonly<Record<string, pulumi.Input<string>>> = {},
): Secrets {
  const made = new Map<string, pulumi.Output<string>>();
  return {
    value(secret) {
      const known = made.get(secret);
      if (known !== undefined) return known;
      const own = Object.hasOwn(given, secret) ? given[secret] : undefined;
      const value = own === undefined ? new Password(`${name}-${secret}`, options).value : pulumi.secret(own);
      made.set(secret, value);
      return value;
    },
  };
}

/** Secrets of one's own: from the stack's configuration, say. Throws for one that is not there. */
export const givenSecrets = (given: Readonly<Record<string, pulumi.Input<string>>>): Secrets => ({
  value(name) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined) throw new RangeError(`no secret ${name} is given`);
    return pulumi.secret(value);
  },
});

/** A template of a Secret's text, filled in: see {@link SECRET_IN_TEXT}. */
export function fillIn(template: string, secrets: Secrets): pulumi.Output<string> {
  const names = [...new Set([...template.matchAll(SECRET_IN_TEXT)].map(([, , name = ""]) => name))];
  return pulumi.all(names.map((name) => secrets.value(name))).apply((values) =>
    template.replace(SECRET_IN_TEXT, (_text, kind: string, name: string) => {
      const value = values[names.indexOf(name)] ?? "";
      return kind === "secret" ? value : kind === "agentKey" ? publicKeyOf(value) : hashOf(value);
    }),
  );
}

const publicKeyOf = (secret: string): string => JSON.stringify(agentKeyPair(secret).publicKey);

/** The same hash at every run, or each would show as a change: the salt follows from the password, whose 256 random bits need none. */
function hashOf(password: string): string {
  const salt = createHash("sha256").update(`salt of ${password}`).digest().subarray(0, rabbitmqSaltBytes);
  return rabbitmqPasswordHash(password, salt);
}

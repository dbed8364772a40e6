/** An OpenID Connect issuer outside of the cluster: on the hosts' management network, where every pod reaches it and this machine's network does not. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CryptoKey, SignJWT } from "jose";
import { hostMark } from "../../infra/fabric/emulator/hosts-adapter.js";
import { managementRange } from "../../infra/fabric/emulator/hosts-addresses.js";
import { execute } from "../../infra/toolchain/execute.js";
import { AUDIENCE, issuerKey } from "../support/test-issuer.js";
import type { Testbed } from "./testbed.js";

const port = 8443;

/** Answers with two documents, by HTTPS. Arguments: key, certificate, a file with the documents by path. */
const server = `
const [key, cert, documents] = process.argv.slice(1).map((file) => require("fs").readFileSync(file, "utf8"));
const answers = JSON.parse(documents);
require("https").createServer({ key, cert }, (request, response) => {
  const answer = answers[request.url];
  response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}));
}).listen(${port}, "${managementRange.bastion}", () => console.log("ready"));
`;

export class LabIssuer {
  readonly url = `https://${managementRange.bastion}:${port}`;
  /** The file of its certificate. */
  readonly caFile: string;
  readonly #key: CryptoKey;
  readonly #kid: string;

  private constructor(caFile: string, kid: string, key: CryptoKey) {
    this.caFile = caFile;
    this.#kid = kid;
    this.#key = key;
  }

  /** The testbed must have started. */
  static async start(testbed: Testbed): Promise<LabIssuer> {
    const { kid, privateKey, jwk } = await issuerKey("lab");
    const at = (name: string): string => join(testbed.folder, `issuer.${name}`);
    const issuer = new LabIssuer(at("crt"), kid, privateKey);
    const names = ["-subj", "/CN=lab-issuer", "-addext", `subjectAltName=IP:${managementRange.bastion}`];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at("key")];
    const made = await execute("openssl", [
      "req",
      "-x509",
      "-days",
      "30",
      ...key,
      "-out",
      at("crt"),
      ...names,
    ]);
    if (made.code !== 0) throw new Error(made.stderr);
    const documents = {
      "/.well-known/openid-configuration": { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` },
      "/keys": { keys: [jwk] },
    };
    writeFileSync(at("json"), JSON.stringify(documents));
    const child = spawn(
      "nsenter",
      [
        `--net=/proc/${managementPid(testbed.folder)}/ns/net`,
        process.execPath,
        "-e",
        server,
        at("key"),
        at("crt"),
        at("json"),
      ],
      { env: { PATH: process.env.PATH, ...testbed.env }, stdio: ["ignore", "pipe", "inherit"] },
    );
    await new Promise<void>((ready, failed) => {
      child.stdout.once("data", () => ready());
      child.once("close", (code) => failed(new Error(`the issuer ended with ${code}`)));
    });
    return issuer;
  }

  /** A user's access token, for an hour. */
  async token(user: string, roles: readonly string[] = ["requester"]): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: this.url, aud: AUDIENCE, sub: user, roles, iat: now, exp: now + 3600 };
    return await new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: this.#kid }).sign(this.#key);
  }
}

/** The process that holds the network between the bastion and the hosts. */
function managementPid(folder: string): string {
  const found = readdirSync("/proc").find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      return variables.some((v) => v.startsWith(`${hostMark}=${folder}/`) && v.endsWith(":management"));
    } catch {
      return false; // ended in between
    }
  });
  if (found === undefined) throw new Error("the emulator has no management network");
  return found;
}

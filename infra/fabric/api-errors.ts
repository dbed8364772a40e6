/** What the orchestrator's refusals mean. It answers 500 to nearly everything, so the text has to be read (facts/fabric.md section 1). */
import { InfraError, type Problem } from "../problem.js";
import { parseJson } from "./bounded-json.js";

type Meaning = Pick<Problem, "code" | "remedy">;

const newToken =
  "log in with a browser at https://cm.fabric-testbed.net and put the new token in the token file";

const byText: readonly (readonly [RegExp, Meaning])[] = [
  [/slice .* already exists/i, { code: "FAB-NAME-TAKEN", remedy: "choose another slice name, or delete that slice" }],
  [/not yet stable|try again later/i, { code: "FAB-UNSTABLE", remedy: "the slice is still changing; run up again" }],
  [/policy violation|lacking .*\b(tag|permission)|not authorized|authorization/i, { code: "FAB-POLICY", remedy: "ask the project's lead for the permission that is named, or ask for less" }],
  [/maintenance/i, { code: "FAB-MAINTENANCE", remedy: "wait for the end of the maintenance, or use other sites" }],
  [/token.*(expired|invalid|revoked|signature|unparsable)|(expired|invalid).*token/i, { code: "FAB-AUTH", remedy: newToken }],
]; // biome-ignore format: a table

/** What a status means when its text says nothing known. */
function byStatus(status: number): Meaning {
  if (status === 401 || status === 403) return { code: "FAB-AUTH", remedy: newToken };
  if (status === 408 || status === 429) return { code: "FAB-UNREACHABLE", remedy: "try again later" };
  if (status === 404) return { code: "FAB-NOT-FOUND" };
  if (status >= 400 && status < 500) return { code: "FAB-REQUEST" };
  if (status === 502 || status === 503 || status === 504)
    return { code: "FAB-UNREACHABLE", remedy: "try again later" };
  return { code: "FAB-SERVER", remedy: "the words are FABRIC's own; its status page may know more" };
}

/** The refusal of a call as an error with the server's own words. */
export function refusal(call: string, status: number, body: string, header: string | null): InfraError {
  const words = serverWords(body) ?? header ?? `no explanation (HTTP ${status})`;
  const known =
    status >= 502 && status <= 504 ? undefined : byText.find(([pattern]) => pattern.test(words))?.[1];
  const meaning = status === 401 || status === 404 ? byStatus(status) : (known ?? byStatus(status));
  return new InfraError({ ...meaning, message: `${call}: ${withoutTokens(words)}` });
}

/** The server's explanation: `details` and `message` of its first error, or connexion's `detail`. */
export function serverWords(body: string): string | undefined {
  let value: unknown;
  try {
    value = parseJson(body);
  } catch {
    const text = body
      .slice(0, 20_000) // the pattern looks ahead from each <, so its time would grow with the square
      .replace(/<[^>]*>/g, " ")
      .replace(/\s+/g, " ")
      .trim(); // a proxy's HTML page
    return text === "" ? undefined : text.slice(0, 300);
  }
  const first = (field(value, "errors") as unknown[] | undefined)?.[0] ?? value;
  for (const name of ["details", "detail", "message", "title"]) {
    const text = field(first, name);
    if (typeof text === "string" && text !== "") return text.slice(0, 2000);
  }
  return undefined;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** A text without what could be a token: JWTs, CILogon's refresh tokens, and what follows "Bearer" or "refresh_token". */
export function withoutTokens(text: string): string {
  return text
    .replace(/[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, "<token>")
    .replace(/\bNB2HI4[\w=-]{10,}/g, "<token>")
    .replace(/bearer\s+\S+/gi, "Bearer <token>")
    .replace(/refresh_token(["'\s:=]+)[^\s"',}]{8,}/gi, "refresh_token$1<token>");
}

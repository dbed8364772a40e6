import { describe, expect, it } from "vitest";
import { CodedError } from "../../../policy/contract/problem.js";
import { createLogger } from "../../../policy/platform/log.js";

function logged(write: (log: ReturnType<typeof createLogger>) => void): {
  text: string;
  lines: Record<string, unknown>[];
} {
  let text = "";
  write(createLogger("agent-one", "info", { write: (line) => (text += line) }));
  return {
    text,
    lines: text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe("a service's log", () => {
  it("is one JSON object a line, with the service's name", () => {
    const { lines } = logged((log) => {
      log.info({ job: "j" }, "two\nlines");
      log.debug("too little");
      log.warn("second");
    });
    expect(lines).toMatchObject([
      { level: "info", service: "agent-one", job: "j", msg: "two\nlines" },
      { level: "warn", msg: "second" },
    ]);
    expect(Date.parse(String(lines[0]?.time))).toBeGreaterThan(0);
  });

  it("never shows a secret, down to two levels", () => {
    const { text } = logged((log) => {
      log.info({ password: "s3cret", grant: "s3cret", auth: { accessToken: "s3cret" } }, "sent");
      log.info(
        { request: { headers: { authorization: "s3cret" }, metadata: { grant: "s3cret", token: "s3cret" } } },
        "got",
      );
    });
    expect(text).not.toContain("s3cret");
    expect(text).toContain("[redacted]");
  });

  it("shows a coded error as its problem, another one with its stack", () => {
    const coded = new CodedError({ code: "BUS-DOWN", message: "gone", remedy: "wait" });
    const { lines } = logged((log) => {
      log.error({ error: coded }, "a");
      log.error({ error: new TypeError("bug") }, "b");
    });
    expect(lines[0]?.error).toEqual({ code: "BUS-DOWN", message: "gone", remedy: "wait" });
    expect(lines[1]?.error).toMatchObject({
      code: "UNEXPECTED",
      message: "bug",
      stack: expect.stringContaining("log.test"),
    });
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packParts, unpackParts, viewParts } from "../../../policy/contract/parts.js";
import { decode, encodeWithParts, packRequest, unpackRequest } from "../../../policy/contract/wire.js";
import {
  answerPath,
  decodeAnswer,
  encodeAnswer,
  encodeReport,
  encodeTicket,
  readReport,
  type Ticket,
} from "../../../policy/rounds/messages.js";

const TICKET: Ticket = {
  agent: "clientone",
  job: "j",
  round: 3,
  requestType: "train",
  steps: [{ step: "embed", service: "client" }],
  grant: "a.b.c",
  token: 42,
  request: packRequest({
    type: "train",
    data: { rounds: 5 },
    user: { id: "1", userName: "ada" },
    requestMetadata: { jobId: "j" },
    options: {},
  }),
};
const ticket = () => decode("microserviceCommunication", encodeTicket("id", TICKET));
const report = (outcome: Parameters<typeof encodeReport>[3]) =>
  decode("microserviceCommunication", encodeReport(ticket(), "clientone", "id", outcome));

describe("a ticket", () => {
  it("says what to do, by what right, and where the report goes; it carries no data but the request", () => {
    const message = ticket();
    expect(message).toMatchObject({
      requestType: "train",
      metadata: { grant: "a.b.c", round: "3", token: "42" },
      requestMetadata: {
        jobId: "j",
        correlationId: "id",
        destinationQueue: "clientone-in",
        returnAddress: "orchestrator-in",
      },
      data: undefined,
    });
    expect(JSON.parse(message.metadata.steps ?? "")).toEqual(TICKET.steps);
    expect(message.result).toHaveLength(0);
    expect(unpackRequest(message.originalRequest)).toMatchObject({ data: { rounds: 5 } });
  });
});

describe("a report", () => {
  const milliseconds = fc.double({ min: Number.MIN_VALUE, max: 1e9, noNaN: true });
  const spans = fc.array(
    fc.record({
      step: fc.string(),
      doneMs: milliseconds,
      startMs: milliseconds,
      computeMs: milliseconds,
    }),
    { maxLength: 5 },
  );

  it("comes as it was sent, to the ticket's return address", () => {
    fc.assert(
      fc.property(
        spans,
        fc.option(fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), fc.integer())),
        (told, data) => {
          const message = report({ spans: told, result: data ?? undefined });
          expect(message.requestMetadata).toMatchObject({
            correlationId: "id",
            destinationQueue: "orchestrator-in",
          });
          const { spans: read, result } = readReport(message, "clientone");
          expect(read).toEqual(told);
          expect({ ...(result as object) }).toEqual({ ...data });
        },
      ),
    );
  });

  it("of a failure is the problem, with agent, step and its own path", () => {
    const problem = { code: "JOB-DIED", message: "exit code 1", path: "x", remedy: "look at its log" };
    const read = (outcome: Parameters<typeof encodeReport>[3]) => () =>
      readReport(report(outcome), "clientone");
    expect(read({ problem, step: "embed" })).toThrow(
      expect.objectContaining({ ...problem, path: "clientone/embed: x" }),
    );
    expect(read({ problem: { code: "AGT-BUSY", message: "busy" } })).toThrow(
      expect.objectContaining({ code: "AGT-BUSY", path: "clientone" }),
    );
  });

  it.each(["{", "null", "5", '{"a":1}', "[null]"])("whose spans are %s is refused with a code", (text) => {
    const message = { ...ticket(), metadata: { spans: text } };
    expect(() => readReport(message, "clientone")).toThrow(
      expect.objectContaining({ code: "BUS-MALFORMED", path: "clientone: metadata.spans" }),
    );
  });

  it("is believed no times that are none", () => {
    const wrong = [{ step: "embed", doneMs: -1, startMs: "3", computeMs: null }];
    const message = { ...ticket(), metadata: { spans: JSON.stringify(wrong) } };
    expect(readReport(message, "clientone").spans).toEqual([
      { step: "embed", doneMs: 0, startMs: 0, computeMs: 0 },
    ]);
  });

  it.each([
    ["not JSON", "not JSON"],
    ['"text"', '"text"'],
    ["null", "null"],
  ])("whose problem is %s is a failure all the same", (error, message) => {
    const answer = { ...ticket(), metadata: { error } };
    expect(() => readReport(answer, "clientone")).toThrow(
      expect.objectContaining({ code: "AGT-FAILED", path: "clientone", message }),
    );
  });
});

describe("an answer that is handed over", () => {
  it("comes with its JSON and its parts", () => {
    const numbers = Float64Array.of(1, 2, 3);
    const given = { data: { n: [1, null] }, parts: viewParts(packParts({ numbers })) };
    const { answer, sizes } = decodeAnswer(encodeAnswer(given));
    const { data, parts } = answer;
    expect(sizes).toEqual({});
    expect(data).toEqual({ n: [1, null] });
    const message = decode("microserviceCommunication", encodeWithParts({ type: "x" }, parts));
    expect(unpackParts(message.result)).toEqual({ numbers });
  });

  it("says its files by name and size: they went before it", () => {
    const files = { rows: { path: "/secret/place", bytes: 7 } };
    const body = encodeAnswer({ data: undefined, parts: {}, files });
    expect(decodeAnswer(body).sizes).toEqual({ rows: 7 });
    expect(Buffer.from(body).includes("secret")).toBe(false);
  });

  it("may say nothing, and is refused with a code when its bytes are no answer", () => {
    expect(decodeAnswer(encodeAnswer({ data: undefined, parts: {} })).answer).toEqual({
      data: undefined,
      parts: {},
    });
    expect(() => decodeAnswer(Uint8Array.of(0xff, 0xff, 0xff))).toThrow(
      expect.objectContaining({ code: "BUS-MALFORMED" }),
    );
  });

  it("has a path of its own, whatever the names are", () => {
    expect(answerPath("j", 3, "embed", "one")).toBe("/api/v1/jobs/j/rounds/3/steps/embed/answers/one");
    const name = fc.string({ minLength: 1, unit: "grapheme" });
    fc.assert(
      fc.property(name, name, name, (job, step, from) => {
        expect(answerPath(job, 1, step, from).split("/").map(decodeURIComponent)).toEqual([
          "",
          "api",
          "v1",
          "jobs",
          job,
          "rounds",
          "1",
          "steps",
          step,
          "answers",
          from,
        ]);
      }),
    );
  });
});

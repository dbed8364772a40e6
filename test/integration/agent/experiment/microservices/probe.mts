/** A microservice for tests: it does what the request tells it, also what none should. */
import { createHash } from "node:crypto";
import { appendFileSync, closeSync, createReadStream, openSync, readdirSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError, type Handler, serve } from "dynamos-fabric/microservice";

let worked = 0;
/** Of the message that came last. */
let correlationId = "";
process.on("message", (message: { correlationId: string }) => {
  correlationId = message.correlationId;
});

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
};

const PATTERN = "a file's content, over and over; ";

/** A file of so many bytes, no two pieces the same, and its hash. */
async function writeFile(path: string, bytes: number): Promise<string> {
  const file = openSync(path, "w");
  const piece = Buffer.alloc(1024 * 1024, PATTERN);
  for (let left = bytes; left > 0; left -= piece.length) {
    piece.writeUInt32LE(left % 2 ** 32);
    writeSync(file, piece, 0, Math.min(left, piece.length));
  }
  closeSync(file);
  return await sha256(path);
}

const work: Handler = async ({ round, step, attempt, request, data, parts, files, role, steward, job }) => {
  worked += 1;
  const { do: what = "count", file = "" } = request as { do?: string; file?: string };
  if (file !== "") appendFileSync(file, `${process.pid} ${round}\n`);
  switch (what) {
    case "sleep":
      await sleep(Number(request.ms));
      break;
    case "die":
      process.exit(7);
      break;
    case "spin":
      for (;;) Math.sqrt(2);
    case "flaky":
      if (attempt < Number(request.until)) throw new Error(`attempt ${attempt} is too early`);
      break;
    case "throw":
      throw new Error("the columns do not fit");
    case "code":
      throw new CodedError({ code: "VFL-ROWS", message: "the rows do not fit", remedy: "align them" });
    case "garbage":
      // As a microservice of another make might answer.
      process.send?.({ correlationId, body: new Uint8Array([255, 255, 255]) });
      await sleep(60_000);
      break;
    case "twice":
      process.send?.({ correlationId, body: new Uint8Array(0) });
      break;
    case "large":
      return { data: { text: "x".repeat(Number(request.bytes)) } };
    case "keep":
      appendFileSync("kept.txt", `${round}\n`);
      break;
    case "environment":
      return {
        data: { names: Object.keys(process.env).sort(), cwd: process.cwd(), files: readdirSync(".") },
      };
    case "file":
      if (step === "give") {
        const path = "out.bin";
        return { data: { sha256: await writeFile(path, Number(request.bytes)) }, files: { rows: path } };
      }
      return {
        data: {
          got: data,
          files: await Promise.all(
            Object.entries(files).map(async ([from, path]) => ({ from, path, sha256: await sha256(path) })),
          ),
        },
      };
    case "others":
      return { files: { rows: String(request.path) } };
    case "parts":
      return { parts };
    case "list":
      return { parts: { wrong: [1, 2] as unknown as Float64Array } };
  }
  return { data: { worked, round, role, steward, job, got: data } };
};

serve({ work, give: work, pass: work, back: work, flaky: work, brief: work });

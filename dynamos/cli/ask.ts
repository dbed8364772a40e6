import { createInterface } from "node:readline/promises";

/** Asks a person at the terminal and answers what was typed, trimmed; undefined where nobody can answer. The question goes to stderr. */
export async function ask(question: string): Promise<string | undefined> {
  if (process.stdin.isTTY !== true) return undefined;
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await reader.question(question)).trim();
  } finally {
    reader.close();
  }
}

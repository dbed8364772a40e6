// Numbers and how they are compared: product and floor in alternating blocks of one run, medians of blocks.

/** One line of the benchmark's table. `ratio`: how many times worse than the floor, for times and for rates alike. */
export interface Line {
  readonly name: string;
  readonly unit: "us" | "ms" | "1/s" | "s" | "MB/s" | "MB";
  readonly value: number;
  readonly floor: number;
  readonly ratio: number;
  readonly goal: number;
}

export interface Block {
  readonly p50: number;
  readonly rate: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

/** `count` calls by `callers` at once. p50 in milliseconds, rate in calls a second. */
export async function block(call: () => Promise<unknown>, callers: number, count: number): Promise<Block> {
  const times: number[] = [];
  let left = count;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left-- > 0) {
        const from = performance.now();
        await call();
        times.push(performance.now() - from);
      }
    }),
  );
  return { p50: median(times), rate: (count / (performance.now() - began)) * 1000 };
}

/** Measures both in alternating blocks after a warm-up and takes the median block of each. */
export async function alternate(
  product: () => Promise<unknown>,
  floor: () => Promise<unknown>,
  options: { readonly callers: number; readonly count: number; readonly blocks: number },
): Promise<{ product: Block; floor: Block }> {
  const results = { product: [] as Block[], floor: [] as Block[] };
  await block(product, options.callers, options.count);
  await block(floor, options.callers, options.count);
  for (let i = 0; i < options.blocks; i++) {
    results.product.push(await block(product, options.callers, options.count));
    results.floor.push(await block(floor, options.callers, options.count));
  }
  const middle = (blocks: Block[]): Block => ({
    p50: median(blocks.map((b) => b.p50)),
    rate: median(blocks.map((b) => b.rate)),
  });
  return { product: middle(results.product), floor: middle(results.floor) };
}

export const timeLine = (
  name: string,
  value: number,
  floor: number,
  goal: number,
  unit: "ms" | "s" = "ms",
): Line => ({
  name,
  unit,
  value,
  floor,
  ratio: value / floor,
  goal,
});

export const rateLine = (
  name: string,
  value: number,
  floor: number,
  goal: number,
  unit: "1/s" | "MB/s" = "1/s",
): Line => ({
  name,
  unit,
  value,
  floor,
  ratio: floor / value,
  goal,
});

/** The table people read. */
export function table(lines: readonly Line[]): string {
  const width = Math.max(...lines.map((l) => l.name.length));
  const row = (l: Line): string =>
    [
      l.name.padEnd(width),
      `${l.value.toFixed(2)} ${l.unit}`.padStart(14),
      `${l.floor.toFixed(2)} ${l.unit}`.padStart(14),
      `${l.ratio.toFixed(2)}x`.padStart(8),
      `${l.goal.toFixed(1)}x`.padStart(7),
      l.ratio <= l.goal ? "" : "  over",
    ].join(" ");
  return [
    `${"".padEnd(width)} ${"product".padStart(14)} ${"floor".padStart(14)} ${"ratio".padStart(8)} ${"goal".padStart(7)}`,
    ...lines.map(row),
  ].join("\n");
}

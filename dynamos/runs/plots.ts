import * as echarts from "echarts";
import type { ExperimentResult, RoundResult } from "./result.js";

const SIZE = { width: 900, height: 480 } as const;

/** Accuracy against round, a line a run, with a cross where the policy changed. SVG text. */
export function accuracyPlot(result: ExperimentResult, title: string): string {
  return svg({
    title: { text: title, left: "center" },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 50, bottom: 80 },
    xAxis: { type: "value", name: "round", nameLocation: "middle", nameGap: 28, minInterval: 1 },
    yAxis: { type: "value", name: "accuracy", nameLocation: "middle", nameGap: 45, scale: true },
    series: result.runs.map((run) => {
      const points = run.rounds.flatMap((r) => (r.accuracy === undefined ? [] : [[r.round, r.accuracy]]));
      const at = run.rounds.find((r) => r.round === run.changeDuringRound);
      const cross = at?.accuracy === undefined ? [] : [{ coord: [at.round, at.accuracy] }];
      return {
        name: `run ${run.run}`,
        type: "line" as const,
        showSymbol: false,
        data: points,
        markPoint: { symbol: CROSS, symbolSize: 16, label: { show: false }, data: cross },
      };
    }),
  });
}

/** Start-up once, and what the first ten rounds of the first run spent on each operation. Stacked bars, milliseconds. SVG text. */
export function durationsPlot(result: ExperimentResult, title: string): string {
  const rounds = (result.runs[0]?.rounds ?? []).filter((r) => r.status === "completed").slice(0, 10);
  const operations = operationsOf(rounds);
  return svg({
    title: { text: title, left: "center" },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 50, bottom: 90 },
    xAxis: { type: "category", name: "round", nameLocation: "middle", nameGap: 28, data: rounds.map((r) => String(r.round)) },
    yAxis: { type: "log", name: "ms", min: 0.1, nameLocation: "middle", nameGap: 45 },
    series: operations.map(({ name, values }) => ({ name, type: "bar" as const, data: values })),
  });
}

/** Each operation's milliseconds by round: start-up, policy check, opening, and each step's computing and moving. */
export function operationsOf(rounds: readonly RoundResult[]): { name: string; values: number[] }[] {
  const steps = [...new Set(rounds.flatMap((r) => Object.keys(r.durations?.steps ?? {})))];
  const of = (pick: (r: RoundResult) => number | undefined): number[] => rounds.map((r) => Number((pick(r) ?? 0).toFixed(3)));
  return [
    { name: "start-up", values: of((r) => sum(Object.values(r.durations?.steps ?? {}).map((s) => s.start))) },
    { name: "policy check", values: of((r) => r.durations?.validate) },
    { name: "open the round", values: of((r) => r.durations?.open) },
    ...steps.flatMap((step) => [
      { name: `${step}: compute`, values: of((r) => r.durations?.steps[step]?.compute) },
      { name: `${step}: transfer`, values: of((r) => r.durations?.steps[step]?.transfer) },
    ]),
  ];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** A plain ×: two crossed strokes as one closed path. */
const CROSS = "path://M1,0 L5,4 L9,0 L10,1 L6,5 L10,9 L9,10 L5,6 L1,10 L0,9 L4,5 L0,1 Z";

function svg(option: echarts.EChartsCoreOption): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, ...SIZE });
  try {
    chart.setOption({ animation: false, backgroundColor: "#fff", ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

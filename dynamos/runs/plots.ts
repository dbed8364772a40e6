import * as echarts from "echarts";
import type { ExperimentResult, RoundResult } from "./result.js";

const SIZE = { width: 900, height: 480 } as const;
// Without a browser the width of a text is a guess: room between the entries keeps them apart.
const LEGEND = {
  bottom: 0,
  left: 40,
  right: 40,
  itemGap: 26,
  itemWidth: 14,
  textStyle: { fontSize: 11 },
} as const;

/** Accuracy against round, a line a run, with a cross where the policy changed. SVG text. */
export function accuracyPlot(result: ExperimentResult, title: string): string {
  return svg({
    title: { text: title, left: "center" },
    legend: LEGEND,
    grid: { left: 70, right: 30, top: 50, bottom: 80 },
    xAxis: { type: "value", name: "round", nameLocation: "middle", nameGap: 28, minInterval: 1 },
    yAxis: { type: "value", name: "accuracy", nameLocation: "middle", nameGap: 45, scale: true },
    series: result.runs.map((run) => {
      const points = run.rounds.flatMap((r) => (r.accuracy === undefined ? [] : [[r.round, r.accuracy]]));
      const crosses = run.rounds.flatMap(({ round, accuracy }) =>
        accuracy !== undefined && run.changes.some((c) => c.duringRound === round)
          ? [{ coord: [round, accuracy] }]
          : [],
      );
      return {
        name: `run ${run.run}`,
        type: "line" as const,
        showSymbol: false,
        data: points,
        markPoint: { symbol: CROSS, symbolSize: 16, label: { show: false }, data: crosses },
      };
    }),
  });
}

/**
 * Two panels: what starting the microservices took, once; and what the first ten rounds of the first run spent on each operation, stacked.
 * Milliseconds. SVG text.
 */
export function durationsPlot(result: ExperimentResult, title: string): string {
  const rounds = (result.runs[0]?.rounds ?? []).filter((r) => r.status === "completed").slice(0, 10);
  const [startUp, ...operations] = operationsOf(rounds);
  const axis = { type: "value" as const, name: "ms", nameLocation: "end" as const };
  return svg({
    title: { text: title, left: "center" },
    legend: { ...LEGEND, data: operations.map((o) => o.name) },
    grid: [
      { left: 70, width: 90, top: 70, bottom: 110 },
      { left: 240, right: 30, top: 70, bottom: 110 },
    ],
    xAxis: [
      { type: "category", gridIndex: 0, data: ["start-up, once"] },
      {
        type: "category",
        gridIndex: 1,
        name: "round",
        nameLocation: "middle",
        nameGap: 28,
        data: rounds.map((r) => String(r.round)),
      },
    ],
    yAxis: [
      { ...axis, gridIndex: 0 },
      { ...axis, gridIndex: 1 },
    ],
    series: [
      {
        name: "start-up",
        type: "bar" as const,
        xAxisIndex: 0,
        yAxisIndex: 0,
        barWidth: 36,
        data: [sum(startUp?.values ?? [])],
      },
      ...operations.map(({ name, values }) => ({
        name,
        type: "bar" as const,
        stack: "round",
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: values,
      })),
    ],
  });
}

/** Each operation's milliseconds by round: start-up, policy check, opening, and each step's computing and moving. */
export function operationsOf(rounds: readonly RoundResult[]): { name: string; values: number[] }[] {
  const steps = [...new Set(rounds.flatMap((r) => Object.keys(r.durations?.steps ?? {})))];
  const of = (pick: (r: RoundResult) => number | undefined): number[] =>
    rounds.map((r) => Number((pick(r) ?? 0).toFixed(3)));
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

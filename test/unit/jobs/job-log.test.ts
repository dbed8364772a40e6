import { describe, expect, it } from "vitest";
import type { RoundReport } from "../../../policy/contract/job.js";
import { JobLog, JobTable, type NumberedEvent } from "../../../policy/jobs/job-log.js";

const report = (round: number): RoundReport => ({
  round,
  status: "completed",
  durations: { validate: 1, open: 1, steps: {}, report: 0, total: 2 },
});
const newLog = (jobId = "j") => new JobLog({ jobId, requestType: "t" });

describe("a job's log", () => {
  it("goes from approved to running to its end, after which nothing happens", () => {
    const log = newLog();
    expect(log.status).toBe("approved");
    log.begin(2);
    expect(log.add({ name: "round", data: report(1) })).toBe(true);
    expect(log.snapshot()).toMatchObject({ status: "running", round: 1, rounds: 2, reports: [{ round: 1 }] });
    expect(log.add({ name: "end", data: { status: "completed", rounds: 1 } })).toBe(true);
    expect(log.add({ name: "round", data: report(2) })).toBe(false);
    expect(log.add({ name: "end", data: { status: "failed", rounds: 1 } })).toBe(false);
    expect(log.snapshot()).toMatchObject({ status: "completed", end: { status: "completed" } });
  });

  it("takes a report that comes twice once", () => {
    const log = newLog();
    log.begin();
    log.add({ name: "round", data: report(1) });
    expect(log.add({ name: "round", data: report(1) })).toBe(false);
    expect(log.snapshot().reports).toHaveLength(1);
  });

  it("tells a reader what it missed and what comes, once each, until the end", () => {
    const log = newLog();
    log.begin();
    for (const round of [1, 2, 3]) log.add({ name: "round", data: report(round) });
    const seen: NumberedEvent[] = [];
    const unfollow = log.follow(1, (event) => seen.push(event));
    log.add({ name: "round", data: report(4) });
    expect(seen.map((e) => e.id)).toEqual([2, 3, 4]);
    unfollow();
    log.add({ name: "end", data: { status: "completed", rounds: 4 } });
    expect(seen).toHaveLength(3);
    const late: string[] = [];
    log.follow(0, (event) => late.push(event.name));
    expect(late.at(-1)).toBe("end");
  });

  it("keeps a bounded part of a long job, with the true numbers", () => {
    const log = newLog();
    log.begin();
    for (let round = 1; round <= 20_000; round += 1) log.add({ name: "round", data: report(round) });
    const ids: number[] = [];
    log.follow(0, (event) => ids.push(event.id));
    expect(ids.length).toBeLessThanOrEqual(5_000);
    expect(ids.at(-1)).toBe(20_000);
    expect(log.snapshot().round).toBe(20_000);
  });
});

describe("a job with large results", () => {
  it("keeps the newest of them, and its end", () => {
    const log = newLog();
    log.begin();
    for (let round = 1; round <= 40; round += 1)
      log.add({ name: "round", data: { ...report(round), data: { text: "x".repeat(1_000_000) } } });
    log.add({
      name: "end",
      data: { status: "completed", rounds: 40, result: { text: "x".repeat(20_000_000) } },
    });
    const { reports, end, round } = log.snapshot();
    expect(reports.length).toBeLessThanOrEqual(16);
    expect([end?.rounds, round]).toEqual([40, 40]);
    const seen: string[] = [];
    log.follow(0, (event) => seen.push(event.name));
    expect(seen.at(-1)).toBe("end");
  });
});

describe("the table of jobs", () => {
  it("lets jobs go that do not run, oldest first, and keeps those that run", () => {
    const table = new JobTable<{ log: JobLog }>(3);
    const jobs = ["a", "b", "c", "d", "e"].map((id) => ({ log: newLog(id) }));
    jobs[0]?.log.begin();
    for (const job of jobs) table.add(job);
    expect(table.all().map((j) => j.log.facts.jobId)).toEqual(["a", "d", "e"]);
  });

  it("is bounded even when no job ever ends", () => {
    const table = new JobTable<{ log: JobLog }>(10);
    for (let i = 0; i < 100; i += 1) {
      const log = newLog(String(i));
      log.begin();
      table.add({ log });
    }
    expect(table.all().length).toBeLessThanOrEqual(20);
    expect(table.get("99")).toBeDefined();
  });
});

/** How long steps tell a person that they go on. */
export interface Progress {
  /** One finished line. */
  line(text: string): void;
  /** A step that may take long: shown while it runs, gone or replaced by a line when it ends. */
  step(label: string): Step;
}

export interface Step {
  /** What it is at now, e.g. `312 packages`. */
  update(detail: string): void;
  /** Ends it with one line, or silently. */
  done(text?: string): void;
}

interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/**
 * Progress on a terminal (one line rewritten each second) or in a log (a line after 2 s, then one every 20 s).
 * Steps shorter than 2 s show only their last line.
 */
export function terminalProgress(output: Output = process.stderr): Progress {
  return {
    line: (text) => void output.write(`${text}\n`),
    step: (label) => startStep(output, label),
  };
}

/** For callers that want no words. */
export const silentProgress: Progress = {
  line: () => {},
  step: () => ({ update: () => {}, done: () => {} }),
};

const firstAfterMs = 2_000;

function startStep(output: Output, label: string): Step {
  const started = Date.now();
  const live = output.isTTY === true;
  let detail = "";
  let shown = false;
  let nextAt = started + firstAfterMs;
  const show = (): void => {
    const now = Date.now();
    if (now < nextAt) return;
    nextAt = now + (live ? 1_000 : 20_000);
    const text = [label, detail, `${Math.round((now - started) / 1000)} s`]
      .filter((s) => s !== "")
      .join(" · ");
    output.write(live ? `\r\x1b[K${text.slice(0, (output.columns ?? 80) - 1)}` : `${text}\n`);
    shown = true;
  };
  const timer = setInterval(show, 500);
  timer.unref();
  return {
    update: (text) => {
      detail = text;
    },
    done: (text) => {
      clearInterval(timer);
      if (live && shown) output.write("\r\x1b[K");
      if (text !== undefined) output.write(`${text}\n`);
    },
  };
}

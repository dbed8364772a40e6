/**
 * Ends this process soon after its parent has gone. The engine starts plugins and leaves them behind when it is killed
 * (`kill -9`): a provider left so would go on creating things that nobody records.
 *
 * Call it once, early. The watch keeps no process alive by itself.
 */
export function endWithParent(
  options: { readonly everyMs?: number; readonly before?: () => void } = {},
): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    // Node asks the kernel each time; an orphan gets another parent (pid 1 or a subreaper).
    if (process.ppid === parent) return;
    clearInterval(timer);
    options.before?.();
    process.exit(1);
  }, options.everyMs ?? 250);
  timer.unref();
}

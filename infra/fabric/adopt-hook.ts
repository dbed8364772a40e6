import * as pulumi from "@pulumi/pulumi";

/** A preview shows a slice that is taken over as created; this hook says what will be done to it. */
export function adoptHook(name: string, slice: () => pulumi.Resource, id: string): pulumi.ResourceHook {
  return new pulumi.ResourceHook(
    `${name}-adoption`,
    async () => {
      const text = `takes over slice ${id}: it gets this stack's mark and lease; nothing else of it changes`;
      // Not awaited: the log waits for the slice's URN, which waits for this hook.
      void pulumi.log.info(text, slice());
    },
    { onDryRun: true },
  );
}

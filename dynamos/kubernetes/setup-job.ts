import { contentHash } from "../../infra/content-hash.js";
import { needsOf } from "./needs.js";
import type { KubeObject } from "./objects.js";
import { FILES, type Place, SECRETS } from "./place.js";
import { containerOf, imageOf, labelsOf, podOf, projected, secretSource } from "./pod.js";
import { metadataOf } from "./workload.js";

/** Pods of one `up` start beside each other; an image may have to come first. */
const SECONDS = 540;
/** The number with which the program says that it was refused, which is the same each time (policy/setup/main.ts). */
const REFUSED = 3;
const TERMINATION = "/dev/termination-log";

/** Work that is done once inside the cluster, and again whenever what it follows from is another. */
export interface SetupWork {
  /** Which, for the program of the image `setup`. */
  readonly task: "broker-users" | "store-users" | "documents";
  /** What the work follows from: the Job is called by its hash, so that an unchanged `up` changes nothing and a changed one makes a new Job. */
  readonly hashed: unknown;
  readonly env: Readonly<Record<string, string>>;
  /** What lies in {@link FILES}. */
  readonly files: Parameters<typeof projected>[1];
  /** Names of the secrets that it reads from {@link SECRETS}. */
  readonly secrets: readonly string[];
}

/** A Job of the core that an `up` waits for. */
export function setupJob({ task, hashed, env, files, secrets }: SetupWork, place: Place): KubeObject {
  const { container, digest } = imageOf("setup", place);
  const labels = { ...labelsOf(place), type: "core", app: task };
  const hash = contentHash([hashed, digest]).slice(0, 10);
  const metadata = metadataOf(`${task}-${hash}`, place);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    // One that failed is made anew at the next `up`, also where nothing it follows from has changed.
    metadata: { ...metadata, labels, annotations: { "pulumi.com/replaceUnready": "true" } },
    spec: {
      backoffLimit: 3,
      activeDeadlineSeconds: SECONDS,
      podFailurePolicy: {
        rules: [
          { action: "FailJob", onExitCodes: { containerName: task, operator: "In", values: [REFUSED] } },
        ],
      },
      template: {
        metadata: { labels, annotations: { "dynamos-fabric/image": digest } },
        spec: podOf(place, {
          restartPolicy: "Never",
          containers: [
            containerOf({
              name: task,
              ...container,
              env: Object.entries({ SETUP: task, TERMINATION_FILE: TERMINATION, ...env }).map(
                ([name, value]) => ({ name, value }),
              ),
              resources: needsOf("setup").resources,
              volumeMounts: [
                { name: "tmp", mountPath: "/tmp" },
                { name: "files", mountPath: FILES, readOnly: true },
                { name: "secrets", mountPath: SECRETS, readOnly: true },
              ],
            }),
          ],
          volumes: [
            { name: "tmp", emptyDir: {} },
            projected("files", files),
            projected("secrets", secrets.map(secretSource)),
          ],
        }),
      },
    },
  };
}

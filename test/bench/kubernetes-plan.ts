// Processor time for all objects of a marketplace of 33 parties, planned and registered without change, against an empty program with as many objects. Both under the SDK's mocks, in this process.
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { KubeObject } from "../../dynamos/kubernetes/objects.js";
import { planKubernetes } from "../../dynamos/kubernetes/plan.js";
import { registerObjects } from "../../dynamos/kubernetes/resources.js";
import type { Secrets } from "../../dynamos/kubernetes/secrets.js";
import { changesOf, normal } from "../../infra/toolchain/kubernetes/diff.js";
import { imagesOf, USERS } from "../support/random-market.js";
import { type Line, median, timeLine } from "./measure.js";

const PARTIES = 33;
const input = {
  placement: {
    core: "core",
    agents: Array.from({ length: PARTIES }, (_, i) => ({
      party: `party${i}`,
      node: `node${i}`,
      role: "agent" as const,
    })),
  },
  options: { users: USERS, images: { from: "registry" as const, references: imagesOf() } },
};
/** By part, as a marketplace registers them. */
function plan(): readonly (readonly [string, readonly KubeObject[]])[] {
  const { agents, ...core } = planKubernetes(input);
  return [...Object.entries(core), ...Object.entries(agents)];
}

/** Each is known once, as a marketplace's own are. */
function secretsOf(): Secrets {
  const made = new Map<string, pulumi.Output<string>>();
  return {
    value(name) {
      const known = made.get(name) ?? pulumi.secret(`secret ${name}`);
      made.set(name, known);
      return known;
    },
  };
}

/** What a program registers, as the engine gets it. */
async function registered(program: () => void): Promise<readonly object[]> {
  const made: object[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => {
        made.push(inputs as object);
        return { id: name, state: inputs };
      },
      call: () => ({}),
    },
    "bench",
    "bench",
    false,
  );
  program();
  await pulumi.runtime.disconnect();
  return made;
}

/** As the plugin compares each with what it was before. */
function compare(before: readonly object[], now: readonly object[]): void {
  const changed = now.filter((inputs, i) => changesOf(normal(before[i] ?? {}), normal(inputs)).size > 0);
  if (changed.length > 0) throw new Error(`${changed.length} of ${now.length} changed`);
}

/** @param blocks pairs that are measured, after one that warms up */
export async function kubernetesPlanLine(blocks: number): Promise<Line> {
  const count = plan().flatMap(([, objects]) => objects).length;
  const product = (): void => {
    const secrets = secretsOf();
    for (const [part, objects] of plan()) registerObjects(part, objects, secrets, {});
  };
  const floor = (): void => {
    for (let i = 0; i < count; i++)
      new k8s.core.v1.ConfigMap(`empty-${i}`, { metadata: { name: `empty-${i}` } });
  };
  const before = { product: await registered(product), floor: await registered(floor) };
  const times: Record<"product" | "floor", number[]> = { product: [], floor: [] };
  for (let i = 0; i <= blocks; i++)
    for (const [what, program] of Object.entries({ product, floor }) as ["product" | "floor", () => void][]) {
      const from = process.cpuUsage();
      compare(before[what], await registered(program));
      const { user, system } = process.cpuUsage(from);
      if (i > 0) times[what].push((user + system) / 1_000);
    }
  const name = `objects of ${PARTIES} parties planned and compared, ${count} objects, processor time`;
  return timeLine(name, median(times.product), median(times.floor), 1.5);
}

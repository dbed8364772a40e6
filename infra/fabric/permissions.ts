/**
 * What the token's project may not do, said before FABRIC does. Pure. Source: FABRIC's bundled policy (fabricTags.OrchestratorTags.xml, ControlFramework
 * 30e67e2); the names of rights stand in the token as the project's tags. The server decides; this only spares a failed run.
 */
import type { Problem } from "../problem.js";
import { pathText } from "../problems-of-schema.js";
import { plannedCards } from "./card-graph.js";
import { type ComponentModel, cardModels, componentModels, storageModel } from "./components.js";
import type { PlannedNode, Topology } from "./topology.js";

/** Free without a right. */
const freely = { cores: 2, ram: 10, disk: 10, bandwidth: 10 } as const;

/** Something that needs a right: any one of `tags`. */
interface Need {
  readonly tags: readonly string[];
  readonly path: readonly (string | number)[];
  readonly what: string;
}

/**
 * The rights that a slice needs and its project lacks, one problem for each, at the first place that needs it.
 *
 * @param tags the project's rights as the token has them; undefined when it does not say: then nothing is said here either
 */
export function permissionProblems(topology: Topology, tags: readonly string[] | undefined): Problem[] {
  if (tags === undefined) return [];
  const has = new Set(tags);
  const lacking = new Map<string, Need & { count: number }>();
  for (const need of needs(topology)) {
    if (need.tags.some((tag) => has.has(tag))) continue;
    const key = need.tags.join();
    const known = lacking.get(key);
    if (known === undefined) lacking.set(key, { ...need, count: 1 });
    else known.count++;
  }
  return [...lacking.values()].map(({ tags: [tag = "", ...others], path, what, count }) => ({
    code: "FAB-PERMISSION",
    path: pathText(path),
    message: `the token's project lacks ${[tag, ...others].join(" or ")} for ${what}${count > 1 ? `, here and at ${count - 1} more` : ""}`,
    remedy: `ask the project's lead for ${tag}, or ask for less`,
  }));
}

function* needs(topology: Topology): Generator<Need> {
  const cards = plannedCards(topology);
  for (const node of topology.nodes) {
    yield* sizeNeeds(node);
    for (const [i, model] of node.components.entries()) {
      const need = componentNeed(componentModels[model], ["nodes", node.name, "components", i]);
      if (need !== undefined) yield need;
    }
    for (const card of cards.get(node.name) ?? []) {
      const need = componentNeed(cardModels[card.model], ["nodes", node.name, "nics", card.name]);
      if (need !== undefined) yield need;
    }
    if ((node.storage ?? []).length > 0) {
      const need = componentNeed(storageModel, ["nodes", node.name, "storage"]);
      if (need !== undefined) yield need;
    }
  }
  for (const { name, type, bandwidth = 0 } of topology.services) {
    if (type === "FABNetv4Ext" || type === "FABNetv6Ext")
      yield { tags: [`Net.${type}`], path: ["networks", name], what: `a ${type}` };
    if (bandwidth > freely.bandwidth)
      yield {
        tags: ["Net.NoLimitBW"],
        path: ["networks", name, "bandwidth"],
        what: `more than ${freely.bandwidth} Gbps`,
      };
  }
  const [, second] = [...new Set(topology.nodes.map((n) => n.site))].sort();
  const elsewhere = topology.nodes.find((n) => n.site === second);
  if (elsewhere !== undefined)
    yield {
      tags: ["Slice.Multisite"],
      path: ["nodes", elsewhere.name, "site"],
      what: "a slice at several sites",
    };
}

function* sizeNeeds({ name, cores, ram, disk }: PlannedNode): Generator<Need> {
  const path = (unit: string) => ["nodes", name, unit];
  if (cores > freely.cores)
    yield {
      tags: ["VM.NoLimitCPU", "VM.NoLimit"],
      path: path("cores"),
      what: `more than ${freely.cores} cores`,
    };
  if (ram > freely.ram)
    yield {
      tags: ["VM.NoLimitRAM", "VM.NoLimit"],
      path: path("ram"),
      what: `more than ${freely.ram} GB of memory`,
    };
  if (disk > freely.disk)
    yield {
      tags: ["VM.NoLimitDisk", "VM.NoLimit"],
      path: path("disk"),
      what: `a disk of more than ${freely.disk} GB`,
    };
}

/** Shared cards are free for all; a BlueField-2 is in no rule of the policy. */
function componentNeed(
  component: ComponentModel | undefined,
  path: readonly (string | number)[],
): Need | undefined {
  if (component === undefined || component.type === "SharedNIC" || component.model.startsWith("BlueField-2"))
    return undefined;
  const { type, model } = component;
  const tags =
    type === "Storage"
      ? ["Component.Storage"]
      : [`Component.${type}_${model.replace(/[- ]/g, "_")}`, `Component.${type}`];
  return { tags, path, what: `a ${model}` };
}

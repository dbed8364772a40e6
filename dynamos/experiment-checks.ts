import type { Problem } from "../infra/problem.js";
import { DOCUMENT_KINDS, type DocumentKind } from "../policy/contract/documents.js";
import { checkDocuments, type Documents } from "../policy/contract/schemas.js";
import type { Experiment } from "./experiment.js";
import type { Placement } from "./placement.js";

/** What is wrong with an experiment's documents, by themselves, together, and with the nodes as written: each party needs one. */
export function documentProblems(experiment: Experiment, nodes: unknown): Problem[] {
  const all = Object.fromEntries(
    DOCUMENT_KINDS.map((kind) => [
      kind,
      Object.fromEntries(experiment.documents.filter((d) => d.kind === kind).map((d) => [d.name, d.value])),
    ]),
  ) as Record<DocumentKind, Record<string, unknown>> satisfies Documents;
  return checkDocuments(all, partiesOf(nodes)).map(({ kind, name, ...problem }) => {
    const file = experiment.documents.find((d) => d.kind === kind && d.name === name)?.file;
    return { ...problem, ...(file === undefined ? {} : { file }), ...remedyOf(problem, name) };
  });
}

/** Programs that run on this machine only: images hold Node and nothing else. Code DOC-PYTHON-TARGET. */
export function programProblems(target: unknown, experiment: Experiment): Problem[] {
  if (target === "local") return [];
  return experiment.documents
    .filter(({ kind, value }) => kind === "microservice" && String(value.entry).endsWith(".py"))
    .map(({ file, value }) => ({
      code: "DOC-PYTHON-TARGET",
      file,
      path: "entry",
      message: `${value.entry}: on target ${target} microservices run from images, which hold no Python`,
      remedy: "write it in TypeScript, or use target local",
    }));
}

/** Agents that will be refused everything: no problem, since an agreement may come later through the API. */
export function partiesWithoutAgreement(placement: Placement, experiment: Experiment): Problem[] {
  const stewards = new Set(experiment.documents.filter((d) => d.kind === "agreement").map((d) => d.name));
  return placement.agents
    .filter(({ party, role }) => role === "agent" && !stewards.has(party))
    .map(({ party, node }) => ({
      code: "SPEC-PARTY-NO-AGREEMENT",
      path: `nodes.${node}`,
      message: `${party} has no agreement: its data are used by nobody`,
      remedy: `write agreements/${party}.json when they may be`,
    }));
}

/** Parties as the nodes name them, wrong or right. */
function partiesOf(nodes: unknown): string[] {
  if (typeof nodes !== "object" || nodes === null) return [];
  return Object.entries(nodes).flatMap(([name, node]) => {
    const { role, party } = (node ?? {}) as { readonly role?: unknown; readonly party?: unknown };
    // A role that is misspelt is told of as that, not also as a party that is missing.
    if (role === "core" || role === "control") return [];
    return [typeof party === "string" ? party : name];
  });
}

/** A steward without a node needs the other remedy as well: a node. */
function remedyOf(problem: Problem, steward: string): { readonly remedy?: string } {
  if (problem.code !== "DOC-PARTY-UNKNOWN" || problem.path !== "name") return {};
  return {
    remedy: `${problem.remedy ?? ""}${problem.remedy === undefined ? "" : "; or "}give it a node of role agent (party: ${steward})`,
  };
}

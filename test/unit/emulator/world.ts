/** The emulator's pure calls with a clock and ids of the test's own. */
import type { Call } from "../../../infra/fabric/emulator/call.js";
import { createSlice } from "../../../infra/fabric/emulator/create-slice.js";
import { deleteSlices, renewSlice } from "../../../infra/fabric/emulator/lifecycle.js";
import { type EmulatorState, emptyState, type SliceRecord } from "../../../infra/fabric/emulator/model.js";
import { acceptModify, modifySlice } from "../../../infra/fabric/emulator/modify-slice.js";
import { renderGraph } from "../../../infra/fabric/emulator/render.js";
import { defaultTags, parseScenario, type Scenario } from "../../../infra/fabric/emulator/scenario.js";
import { type SliceState, sliceState } from "../../../infra/fabric/emulator/states.js";
import type { Identity } from "../../../infra/fabric/emulator/token.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { writeGraphml } from "../../../infra/fabric/graphml.js";

export const start = Date.UTC(2026, 10, 22, 12);

export const ada: Identity = {
  id: "user-1",
  email: "ada@uva.nl",
  project: { id: "project-1", name: "Project" },
  tags: defaultTags,
};

export class World {
  state: EmulatorState = emptyState;
  now = start;
  private ids = 0;

  constructor(
    readonly scenario: Scenario = parseScenario(),
    readonly who: Identity = ada,
  ) {}

  call(): Call {
    return {
      scenario: this.scenario,
      state: this.state,
      who: this.who,
      now: this.now,
      newId: () => `id-${++this.ids}`,
    };
  }

  slice(id: string): SliceRecord {
    const found = this.state.slices.find((s) => s.id === id);
    if (found === undefined) throw new Error(`no slice ${id}`);
    return found;
  }

  stateOf(id: string): SliceState {
    return sliceState(this.slice(id), this.now);
  }

  graphOf(id: string): PropertyGraph {
    return renderGraph(this.slice(id), this.now);
  }

  wait(ms = 10_000): this {
    this.now += ms;
    return this;
  }

  create(
    name: string,
    graph: PropertyGraph,
    more: { start?: number; end?: number; lifetime?: number } = {},
  ): string {
    const outcome = createSlice(this.call(), {
      name,
      graphml: writeGraphml(graph),
      sshKeys: ["ssh-ed25519 AAAA"],
      ...more,
    });
    this.state = outcome.state;
    return outcome.slice.id;
  }

  modify(id: string, graph: PropertyGraph): void {
    this.state = modifySlice(this.call(), id, writeGraphml(graph)).state;
  }

  accept(id: string): void {
    this.state = acceptModify(this.call(), id).state;
  }

  renew(id: string, end: number): void {
    this.state = renewSlice(this.call(), id, end).state;
  }

  delete(id?: string): readonly string[] {
    const outcome = deleteSlices(this.call(), id);
    this.state = outcome.state;
    return outcome.early;
  }
}

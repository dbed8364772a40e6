/** The emulator's memory on disk: one JSON file, replaced whole, so that it is always one state or the next and never between. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { InfraError } from "../../problem.js";
import { type EmulatorState, emptyState, type SliceRecord } from "./model.js";
import { parseScenario, type Scenario } from "./scenario.js";
import { sliceState } from "./states.js";

/** Dead slices kept, the newest; the real one keeps them all. */
const deadKept = 50;
const poasKept = 200;

export interface Store {
  /** The state as last saved. */
  read(): EmulatorState;
  /** Calls back after each change, once it is saved. States also change with time alone: node-life.ts says when. @returns ends it */
  onChange(listener: (state: EmulatorState) => void): () => void;
  /** Works out the next state and saves it; answers once it is on disk. A change that throws, or cannot be saved, changes nothing. */
  update<T>(
    change: (state: EmulatorState) => { readonly state: EmulatorState; readonly result: T },
  ): Promise<T>;
}

// the file is our own: its shape is checked at the top, so that another program's file is not taken for ours
const stateSchema = z.looseObject({
  version: z.literal(1),
  slices: z.array(
    z.looseObject({
      id: z.string(),
      name: z.string(),
      leaseEnd: z.number(),
      slivers: z.array(z.looseObject({ id: z.string() })),
    }),
  ),
  poas: z.array(z.looseObject({ id: z.string() })),
});

/**
 * The saved state; the empty one when there is no file.
 * @throws InfraError `FAB-EMU-STATE`
 */
export async function readState(file: string): Promise<EmulatorState> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return emptyState;
    throw stateError(file, "cannot be read", error);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw stateError(file, "is not JSON", error);
  }
  const parsed = stateSchema.safeParse(json);
  if (!parsed.success) throw stateError(file, "is not the emulator's state", parsed.error);
  return json as EmulatorState;
}

/**
 * A scenario from a YAML or JSON file; with no file, production.
 * @throws InfraError `FAB-EMU-SCENARIO`
 */
export async function readScenario(file?: string): Promise<Scenario> {
  if (file === undefined || file === "") return parseScenario();
  try {
    return parseScenario(parse(await readFile(file, "utf8")), file);
  } catch (error) {
    if (error instanceof InfraError) throw error;
    throw new InfraError(
      {
        code: "FAB-EMU-SCENARIO",
        file,
        message: `cannot be read: ${message(error)}`,
        remedy: "name a YAML or JSON file in SCENARIO_FILE",
      },
      { cause: error },
    );
  }
}

/** Opens the state in a file. @throws InfraError `FAB-EMU-STATE` */
export async function openStore(file: string, now: () => number = Date.now): Promise<Store> {
  await mkdir(dirname(file), { recursive: true });
  let state = await readState(file);
  let turn: Promise<unknown> = Promise.resolve();
  const { onChange, tell } = listeners();
  return {
    read: () => state,
    onChange,
    update: (change) => {
      const mine = turn.then(async () => {
        const { state: next, result } = change(state);
        if (next !== state) {
          const trimmed = withoutOld(next, now());
          await save(file, trimmed);
          state = trimmed;
          tell(state);
        }
        return result;
      });
      turn = mine.catch(() => undefined); // the next one's turn comes whatever became of this one; the caller has the error
      return mine;
    },
  };
}

function listeners(): Pick<Store, "onChange"> & { readonly tell: (state: EmulatorState) => void } {
  const all = new Set<(state: EmulatorState) => void>();
  return {
    onChange: (listener) => {
      all.add(listener);
      return () => all.delete(listener);
    },
    tell: (state) => {
      for (const listener of all) listener(state);
    },
  };
}

/** A store that forgets: for tests of the routes alone. */
export function memoryStore(initial: EmulatorState = emptyState): Store {
  let state = initial;
  const { onChange, tell } = listeners();
  return {
    read: () => state,
    onChange,
    update: async (change) => {
      const { state: next, result } = change(state);
      const changed = next !== state;
      state = next;
      if (changed) tell(state);
      return result;
    },
  };
}

async function save(file: string, state: EmulatorState): Promise<void> {
  const temporary = `${file}.new`;
  try {
    const handle = await open(temporary, "w", 0o600);
    try {
      await handle.writeFile(JSON.stringify(state));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    const folder = await open(dirname(file), "r");
    try {
      await folder.sync(); // else the rename itself may be lost with the power
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw stateError(file, "cannot be written", error);
  }
}

function withoutOld(state: EmulatorState, now: number): EmulatorState {
  const dead = state.slices.filter((s: SliceRecord) => sliceState(s, now) === "Dead");
  const forgotten = new Set(dead.slice(0, Math.max(0, dead.length - deadKept)).map((s) => s.id));
  return {
    ...state,
    slices: state.slices.filter((s) => !forgotten.has(s.id)),
    poas: state.poas.slice(-poasKept),
  };
}

function stateError(file: string, what: string, cause: unknown): InfraError {
  return new InfraError(
    {
      code: "FAB-EMU-STATE",
      file,
      message: `${what}: ${message(cause)}`,
      remedy: "mend or remove the file; removing it forgets the emulated slices",
    },
    { cause },
  );
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

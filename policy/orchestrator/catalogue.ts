import type { Archetype, Microservice, OnlineAgent, RequestType } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import type { Entry, Mirror } from "../platform/mirror.js";
import type { Store } from "../platform/store.js";

/** Copies of the store's documents that compositions and workflows need, kept current. */
export class Catalogue {
  readonly #store: Store;
  readonly #archetypes: Mirror<Archetype>;
  readonly #requestTypes: Mirror<RequestType>;
  readonly #microservices: Mirror<Microservice>;
  readonly #online: Mirror<OnlineAgent>;

  private constructor(
    store: Store,
    archetypes: Mirror<Archetype>,
    requestTypes: Mirror<RequestType>,
    microservices: Mirror<Microservice>,
    online: Mirror<OnlineAgent>,
  ) {
    this.#store = store;
    this.#archetypes = archetypes;
    this.#requestTypes = requestTypes;
    this.#microservices = microservices;
    this.#online = online;
  }

  static async open(store: Store): Promise<Catalogue> {
    const [archetypes, requestTypes, microservices, online] = await Promise.all([
      store.mirror<Archetype>(KEY.archetypePrefix),
      store.mirror<RequestType>(KEY.requestTypePrefix),
      store.mirror<Microservice>(KEY.microservicePrefix),
      store.mirror<OnlineAgent>(KEY.onlinePrefix),
    ]);
    return new Catalogue(store, archetypes, requestTypes, microservices, online);
  }

  archetypes(): readonly Archetype[] {
    return this.#archetypes.all().map((e) => e.value);
  }

  /** A request type; one that is not in our copy is looked for in the store, for it may have come a moment ago. */
  async requestType(name: string): Promise<Entry<RequestType> | undefined> {
    const key = KEY.requestType(name);
    return this.#requestTypes.get(key) ?? (await this.#store.get<RequestType>(key, { patience: 0 }));
  }

  requestTypeNames(): readonly string[] {
    return this.#requestTypes.all().map((e) => e.value.name);
  }

  /** Microservices by name. */
  microservices(): ReadonlyMap<string, Microservice> {
    return new Map(this.#microservices.all().map((e) => [e.value.name, e.value]));
  }

  /** Agents that are there to work, by name. */
  agents(): readonly OnlineAgent[] {
    return this.#online.all().map((e) => e.value);
  }

  agent(name: string): OnlineAgent | undefined {
    return this.#online.get(KEY.online(name))?.value;
  }

  /** Tells of each agent whose lease has ended. */
  onAgentGone(listener: (agent: string) => void): void {
    this.#online.onChange((change) => {
      if (change.type === "delete") listener(change.key.slice(KEY.onlinePrefix.length));
    });
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.#archetypes, this.#requestTypes, this.#microservices, this.#online].map((mirror) =>
        mirror.close(),
      ),
    );
  }
}

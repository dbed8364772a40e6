// How long a change of an agreement takes to be in force: at the enforcer (compiled) and at the party's agent, against a bare watch of the same key.
import { once } from "node:events";
import { OwnAgreement } from "../../policy/agent/own-agreement.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { KEY } from "../../policy/contract/names.js";
import { PolicyView } from "../../policy/enforcer/policy-view.js";
import { EtcdClient, rangeEnd, utf8 } from "../../policy/platform/etcd-client.js";
import { watchFrom } from "../../policy/platform/etcd-watch.js";
import { createLogger } from "../../policy/platform/log.js";
import { Store } from "../../policy/platform/store.js";
import { startStore } from "../support/servers.js";
import { alternate, type Line, timeLine } from "./measure.js";

const PARTY = "clientone";
const USERS = 100;

/** Waits for the next change, whoever tells of it. */
class Bell extends EventTarget {
  ring(): void {
    this.dispatchEvent(new Event("change"));
  }
  next(): Promise<unknown> {
    return once(this, "change");
  }
}

function agreement(change: number): Agreement {
  const rule = {
    ID: String(change),
    requestTypes: ["train"],
    allowedArchetypes: ["through"],
    allowedComputeProviders: ["third"],
  };
  return {
    name: PARTY,
    relations: Object.fromEntries(Array.from({ length: USERS }, (_, i) => [`user${i}@uva.nl`, rule])),
    computeProviders: ["third"],
    archetypes: ["through"],
  };
}

export async function propagationLines(scale: number): Promise<Line[]> {
  const server = await startStore();
  const log = createLogger("bench", "fatal");
  const connect = () => Store.connect({ endpoint: server.endpoint, log });
  const [writer, ofEnforcer, ofAgent] = await Promise.all([connect(), connect(), connect()]);
  const bare = new EtcdClient(server.endpoint);
  const stop = new AbortController();
  const key = KEY.agreement(PARTY);
  const revision = await writer.put(key, agreement(0));
  const view = await PolicyView.open(ofEnforcer, log);
  const own = await OwnAgreement.open(ofAgent, PARTY, log);
  const bells = { bare: new Bell(), enforcer: new Bell(), agent: new Bell() };
  const watching = watchFrom(
    bare,
    { key: utf8(key), rangeEnd: rangeEnd(key) },
    revision + 1,
    stop.signal,
    () => bells.bare.ring(),
  );
  // Told after it is compiled: the view follows the store before its own listeners do.
  view.onAgreement(() => bells.enforcer.ring());
  own.onChange(() => bells.agent.ring());
  let changes = 0;
  const until = (bell: Bell) => async (): Promise<void> => {
    changes += 1;
    const heard = bell.next();
    await writer.put(key, agreement(changes));
    await heard;
  };
  try {
    const options = { callers: 1, count: Math.ceil(400 * scale), blocks: 5 };
    const enforcer = await alternate(until(bells.enforcer), until(bells.bare), options);
    const agent = await alternate(until(bells.agent), until(bells.bare), options);
    return [
      timeLine("change in force at the enforcer, p50", enforcer.product.p50, enforcer.floor.p50, 2.0),
      timeLine("change in force at the agent, p50", agent.product.p50, agent.floor.p50, 2.0),
    ];
  } finally {
    stop.abort();
    await watching;
    bare.close();
    await view.close();
    await own.close();
    await Promise.all([writer.close(), ofEnforcer.close(), ofAgent.close()]);
    await server.stop();
  }
}

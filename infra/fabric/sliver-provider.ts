/** What Node's and Network's providers share: each waits for one sliver of a slice and reads it, and owns nothing. */
import type { dynamic } from "@pulumi/pulumi";
import { hasUnknown, plainErrors } from "../dynamic.js";
import { openEndpoint } from "./endpoint.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { isGoneError } from "./provider-support.js";
import type { SliceView } from "./slice-view.js";
import { type Element, type FoundSliver, readSliver, waitForSliver } from "./sliver-wait.js";

interface SliverInputs {
  /** The slice's id. */
  readonly slice: string;
  readonly endpoint: FabricEndpoint;
}

/** How one kind of sliver is told apart, found and shown. */
export interface SliverKind<I extends SliverInputs, O extends I, T extends Element> {
  /** What changed beside slice and endpoint: keys that replace the resource, and whether something else is to be read anew. */
  readonly changes: (olds: O, news: I) => { readonly replaces: readonly string[]; readonly reread: boolean };
  /** For messages, e.g. `node b`. */
  readonly what: (inputs: I) => string;
  readonly find: (inputs: I) => (view: SliceView) => T | undefined;
  readonly outputs: (inputs: I, found: FoundSliver<T>) => O;
}

/** The provider of one kind of sliver. */
export function sliverProvider<I extends SliverInputs, O extends I, T extends Element>(
  kind: SliverKind<I, O, T>,
): dynamic.ResourceProvider<I, O> {
  const wait = async (inputs: I): Promise<FoundSliver<T>> => {
    const { api } = await openEndpoint(inputs.endpoint);
    return await waitForSliver(api, inputs.slice, kind.what(inputs), kind.find(inputs));
  };
  return plainErrors<dynamic.ResourceProvider<I, O>>({
    async diff(_id, olds, news) {
      if (hasUnknown(news))
        return { changes: true, ...(hasUnknown(news.slice) ? { replaces: ["slice"] } : {}) };
      const own = kind.changes(olds, news);
      const replaces = [...(olds.slice !== news.slice ? ["slice"] : []), ...own.replaces];
      const endpoint = JSON.stringify(olds.endpoint) !== JSON.stringify(news.endpoint);
      return { changes: replaces.length > 0 || own.reread || endpoint, replaces };
    },

    async create(props) {
      const found = await wait(props);
      return { id: found.element.nodeId, outs: kind.outputs(props, found) };
    },

    async update(_id, _olds, news) {
      return { outs: kind.outputs(news, await wait(news)) };
    },

    async read(id, props) {
      if (props === undefined) return { id, props: {} as O };
      try {
        const { api } = await openEndpoint(props.endpoint);
        const found = await readSliver(api, props.slice, kind.find(props));
        return found === undefined
          ? { id: "" }
          : { id: found.element.nodeId, props: kind.outputs(props, found) };
      } catch (error) {
        if (isGoneError(error)) return { id: "" };
        throw error;
      }
    },

    async delete() {
      // The slice owns it and has taken it away already, or will.
    },
  });
}

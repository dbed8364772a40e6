import Module from "node:module";

// Preloaded (`node --require`) into programs and dynamic providers. The SDK loads the TypeScript compiler, 9 MB and a fifth of a second of each
// process, in case it has to write a function as text. Programs that are built beforehand, and providers that are named (infra/dynamic.ts), never
// make it do so: the compiler is loaded when something of it is first used.

const NAME = "typescript";
type Load = (request: string, parent: NodeModule | undefined, isMain: boolean) => unknown;
const loader = Module as unknown as { _load: Load };
const load = loader._load;

loader._load = function (this: unknown, request, parent, isMain) {
  if (request !== NAME) return load.call(this, request, parent, isMain);
  let compiler: object | undefined;
  const loaded = (): object => {
    compiler ??= load.call(loader, request, parent, isMain) as object;
    return compiler;
  };
  return new Proxy(
    {},
    {
      get: (_, key) => Reflect.get(loaded(), key),
      has: (_, key) => Reflect.has(loaded(), key),
      ownKeys: () => Reflect.ownKeys(loaded()),
      getOwnPropertyDescriptor: (_, key) => {
        const found = Reflect.getOwnPropertyDescriptor(loaded(), key);
        return found === undefined ? undefined : { ...found, configurable: true };
      },
    },
  );
};

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { otherSites, productionSites } from "../../infra/fabric/sites.js";
import { EmulatorProcess, noSlices } from "../fault/emulator-process.js";
import { testToken } from "./emulated-fabric.js";
import { TestStack } from "./engine.js";

const program = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice } = require("dynamos-fabric/infra");
const config = new pulumi.Config("test");
const slice = new FabricSlice("dev", {
  sliceName: "whole-testbed",
  lease: "2d",
  endpoint: config.requireObject("endpoint"),
  nodes: config.requireObject("nodes"),
});
exports.hosts = slice.hosts.apply((hosts) => hosts.map(({ name, address, routes }) => [name, address, routes.length].join(" ")));
exports.sliceId = slice.sliceId;`;

const sites = [...productionSites, ...otherSites].slice(0, 33);
const worker = { cores: 32, ram: 256, disk: 2000, components: { "SharedNIC-ConnectX-6": 10 } };

/** Three nodes at each of 33 sites. */
export const wholeTestbedNodes = Object.fromEntries(
  sites.flatMap((site) =>
    [1, 2, 3].map((n) => [`${site.toLowerCase()}-${n}`, { site, cores: 2, ram: 8, disk: 10 }]),
  ),
);

/** A stack with one slice over 33 sites, and the emulator it will be made on. */
export interface WholeTestbed {
  readonly stack: TestStack;
  readonly emulator: EmulatorProcess;
  end(): Promise<void>;
}

/** @param folder for the emulator's and FABRIC's files */
export async function startWholeTestbed(folder: string): Promise<WholeTestbed> {
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const delays = { nascent: 20, configure: 200, modify: 50, renew: 20, close: 100 };
  const shape = Object.fromEntries(sites.map((s) => [s, { workers: [worker] }]));
  const emulator = EmulatorProcess.start(at("emulator"), { sites: shape, delays }, noSlices);
  writeFileSync(at("tokens.json"), JSON.stringify({ id_token: testToken() }));
  writeFileSync(at("key.pub"), "ssh-ed25519 AAAA test\n");
  writeFileSync(at("fabric_rc"), `export FABRIC_SLICE_PUBLIC_KEY_FILE="${at("key.pub")}"\n`);
  const host = `http://127.0.0.1:${await emulator.port()}`;
  const endpoint = { kind: "fabric", host, tokenFile: at("tokens.json"), rc: at("fabric_rc") };
  const stack = new TestStack({
    program,
    config: { "test:endpoint": endpoint, "test:nodes": wholeTestbedNodes },
  });
  const end = async (): Promise<void> => {
    await emulator.stop();
    stack.end();
  };
  return { stack, emulator, end };
}

/**
 * What FABRIC's policy decision point refuses, in its words. Source: the bundled policy copy (fabricTags.OrchestratorTags.xml, ControlFramework 30e67e2) and
 * attribute_collector.py of fabric-fim 2.0.0.
 */
import { jsonProperty, numberIn } from "../fim.js";
import type { PropertyGraph } from "../graph.js";
import { GraphView, nameOf } from "./view.js";

const prefix = "PDP Failure: PDP Authorization check failed - ";

/** Type_Model of a component to how the policy calls it. */
const componentWords: Readonly<Record<string, readonly [tags: string, words: string]>> = {
  GPU_A40: ["Component.GPU_A40 or Component.GPU", "a VM with GPU_A40"],
  GPU_A30: ["Component.GPU_A30 or Component.GPU", "a VM with GPU_A30"],
  GPU_Tesla_T4: ["Component.GPU_Tesla_T4 or Component.GPU", "a VM with Tesla T4 GPU"],
  GPU_RTX6000: ["Component.GPU_RTX6000 or Component.GPU", "a VM with RTX6000 GPU"],
  FPGA_Xilinx_U280: ["Component.FPGA_Xilinx_U280 or Component.FPGA", "a VM with Xilinx U280 FPGA"],
  FPGA_Xilinx_SN1022: ["Component.FPGA_Xilinx_SN1022 or Component.FPGA", "a VM with Xilinx SN1022 FPGA"],
  SmartNIC_ConnectX_6: [
    "Component.SmartNIC_ConnectX_6 or Component.SmartNIC",
    "a VM with ConnectX-6 SmartNIC",
  ],
  SmartNIC_ConnectX_7_400: [
    "Component.SmartNIC_ConnectX_7_400 or Component.SmartNIC",
    "a VM with BlueField-3 400G SmartNIC",
  ],
  SmartNIC_ConnectX_7_100: [
    "Component.SmartNIC_ConnectX_7_100 or Component.SmartNIC",
    "a VM with BlueField-3 100G SmartNIC",
  ],
  SmartNIC_ConnectX_5: [
    "Component.SmartNIC_ConnectX_5 or Component.SmartNIC",
    "a VM with ConnectX-5 SmartNIC",
  ],
  NVME_P4510: ["Component.NVME_P4510 or Component.NVME", "a VM with NVME P4510"],
  Storage_NAS: ["Component.Storage", "a VM with attached storage"],
};

/** The first right that the project lacks, as the orchestrator words it, or undefined when it has them all. */
export function permissionFault(graph: PropertyGraph, tags: readonly string[]): string | undefined {
  const lacking = [...lacks(new GraphView(graph), new Set(tags))][0];
  return lacking === undefined ? undefined : `${prefix}Policy Violation: ${lacking}`;
}

function* lacks(view: GraphView, tags: ReadonlySet<string>): Generator<string> {
  yield* nodeLacks(view, tags);
  yield* componentLacks(view, tags);
  yield* networkLacks(view, tags);
}

function* nodeLacks(view: GraphView, tags: ReadonlySet<string>): Generator<string> {
  const any = (...names: string[]) => names.some((n) => tags.has(n));
  const vms = view.networkNodes().filter((n) => n.props.Type === "VM");
  const most = (what: string) => Math.max(0, ...vms.map((n) => numberIn(n, "Capacities", what)));
  if (most("core") > 2 && !any("VM.NoLimitCPU", "VM.NoLimit")) {
    yield "Your project is lacking VM.NoLimitCPU or VM.NoLimit tag to provision VM with more than 2 cores.";
  }
  if (most("disk") > 10 && !any("VM.NoLimitDisk", "VM.NoLimit")) {
    yield "Your project is lacking VM.NoLimitDisk or VM.NoLimit tag to provision VM with disk over 10GB.";
  }
  if (most("ram") > 10 && !any("VM.NoLimitRAM", "VM.NoLimit")) {
    yield "Your project is lacking VM.NoLimitRAM or VM.NoLimit tag to provision VM with more than 10GB of RAM.";
  }
  if (view.networkNodes().some((n) => n.props.Type === "Switch") && !any("Switch.P4")) {
    yield "Your project is lacking Switch.P4 tag to provision a P4 switch.";
  }
}

function* componentLacks(view: GraphView, tags: ReadonlySet<string>): Generator<string> {
  for (const component of view.networkNodes().flatMap((n) => view.components(n))) {
    const words = componentWords[`${component.props.Type}_${component.props.Model}`.replace(/[- ]/g, "_")];
    if (words === undefined || words[0].split(" or ").some((t) => tags.has(t))) continue;
    yield `Your project is lacking ${words[0]} tag to provision ${words[1]}.`;
  }
}

function* networkLacks(view: GraphView, tags: ReadonlySet<string>): Generator<string> {
  const services = view.topServices();
  const has = (type: string) => services.some((s) => s.props.Type === type);
  if (has("FABNetv4Ext") && !tags.has("Net.FABNetv4Ext")) {
    yield "Your project is lacking Net.FABNetv4Ext tag to request a slice with external IPv4 connectivity.";
  }
  if (has("FABNetv6Ext") && !tags.has("Net.FABNetv6Ext")) {
    yield "Your project is lacking Net.FABNetv6Ext tag to request a slice with external IPv6 connectivity.";
  }
  if (
    services.some((s) => s.props.Type === "PortMirror" && !ownPort(view, s.props.MirrorPort)) &&
    !tags.has("Net.PortMirroring")
  ) {
    yield "Your project is lacking Net.PortMirroring tag to request a slice that uses port mirroring.";
  }
  const sites = new Set(
    [...view.networkNodes().filter((n) => n.props.Type !== "Facility"), ...services].flatMap((n) =>
      n.props.Site ? [n.props.Site] : [],
    ),
  );
  if (sites.size > 1 && !tags.has("Slice.Multisite")) {
    yield "Your project is lacking Slice.Multisite tag to request a slice spanning multiple sites.";
  }
  if (services.some((s) => numberIn(s, "Capacities", "bw") > 10) && !tags.has("Net.NoLimitBW")) {
    yield "Your project is lacking Net.NoLimitBW tag to request links with bandwidth over 10Gbps.";
  }
  const facilities = view.networkNodes().filter((n) => n.props.Type === "Facility");
  if (facilities.some((f) => !tags.has(`Net.FacilityPort.${nameOf(f)}`))) {
    yield "Your project is lacking Net.FacilityPort.<facility-port-name> tag to request a connection to one or more of the facilities.";
  }
}

/** Mirroring a port of one's own slice needs no right. */
function ownPort(view: GraphView, mirrored: string | undefined): boolean {
  return view
    .services()
    .some((s) => view.ports(s).some((p) => jsonProperty(p, "Labels").local_name === mirrored));
}
